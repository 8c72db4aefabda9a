// What each rank has to say at the end of a run, collected on all ranks.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "comm/mesh.hpp"
#include "ops/execution.hpp"

namespace ferula {

/// A row of `ranks` in summary.json.
struct RankSummary {
  int rank = 0;
  std::string host;
  std::string device;
  std::array<std::int64_t, kMemoryKinds> memory_bytes{};  // highest of each kind
  std::int64_t peak_bytes = 0;                            // highest of all kinds together
  std::int64_t host_bytes = 0;  // beside them, the highest of what is offloaded to the host's memory
  std::int64_t steps = 0;       // that traffic and step_seconds are of; 0: not measured
  TrafficCounts traffic{};      // of the steps
  double step_seconds = 0.0;    // mean time of a step in which this rank did not wait for others
};

/// Busy time a step: what the phases of a step took beside communication, data included.
double busy_seconds(const PhaseTimes& phases);

/// What a rank has done in training steps alone, without validation, loading and saving, and what it has offloaded.
struct RankTotals {
  std::int64_t steps = 0;  // as many as `execution.phases` has seen
  TrafficCounts traffic{};
  std::int64_t host_bytes = 0;
};

/// This rank's row.
RankSummary summary_of_rank(Mesh& mesh, Execution& execution, const RankTotals& totals);

/// The rows of all ranks, by rank, on every rank. Collective over the world.
std::vector<RankSummary> gather_summaries(Mesh& mesh, Execution& execution, const RankTotals& totals);

/// The rank with the longest step, and how much longer than the median it is, in percent.
struct SlowestRank {
  int rank = 0;
  double slower_percent = 0.0;
};
SlowestRank slowest_rank(const std::vector<RankSummary>& ranks);

}  // namespace ferula
