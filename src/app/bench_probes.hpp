// Probes of what the ranks' machine can do: computation, memory, collectives and disk, with all ranks at once.
#pragma once

#include <string>
#include <vector>

#include "app/rank_context.hpp"

namespace ferula {

struct ProbeSettings {
  std::int64_t bytes = 64 << 20;  // of one tensor or file
  int repetitions = 9;
  std::string directory = ".";  // of the disk probe's file
};

/// Rates of one probe, each repetition timed until the slowest rank is ready.
struct ProbeResult {
  std::string group;          // compute, memory, collectives, disk
  std::string name;           // "matrix product bf16"
  std::string unit;           // "GFLOP/s", "GB/s"
  std::vector<double> rates;  // all ranks together, ascending

  double median() const { return rates[rates.size() / 2]; }
};

/// Square matrix products in f32 and bf16, of all ranks together.
std::vector<ProbeResult> probe_compute(RankContext& context, const ProbeSettings& settings);
/// Reading and copying tensors larger than the caches: bytes read, and bytes read plus written, of all ranks together.
std::vector<ProbeResult> probe_memory(RankContext& context, const ProbeSettings& settings);
/// Bus bandwidth of the collectives among all ranks, as nccl-tests define it; nothing on one rank.
std::vector<ProbeResult> probe_collectives(RankContext& context, const ProbeSettings& settings);
/// Writing a new file and waiting until the disk has it (fsync), of all ranks together. Removes its files.
std::vector<ProbeResult> probe_disk(RankContext& context, const ProbeSettings& settings);

}  // namespace ferula
