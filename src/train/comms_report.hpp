// What a run says of its collectives by size ([comms_logger]): a table of all ranks, and a file with the rows of each.
#pragma once

#include <string>
#include <vector>

#include "base/log.hpp"
#include "comm/mesh.hpp"
#include "ops/execution.hpp"

namespace ferula {

/// What [comms_logger] asks for.
struct CollectiveListing {
  bool enabled = false;                      // the table in the account, and comms.csv
  bool verbose = false;                      // a line for each call
  std::vector<Collective> collectives = {};  // those meant; none: all

  bool lists(Collective collective) const;
};

/// Lets `log` tell each collective of this rank that the listing wants, as it ends, while this object lives: the first
/// kMostLines of them. Costs nothing where the listing is not verbose.
class CollectiveLines {
 public:
  static constexpr int kMostLines = 1000;

  CollectiveLines(TrafficLedger& traffic, Log& log, const CollectiveListing& listing);
  ~CollectiveLines();
  CollectiveLines(const CollectiveLines&) = delete;
  CollectiveLines& operator=(const CollectiveLines&) = delete;

 private:
  TrafficLedger* traffic_;
};

/// The traffic of one rank by collective, ranks and size.
using RankTraffic = std::vector<SizedTraffic>;

/// That of every rank, by rank, on every rank: what the listing wants. Called by all ranks.
std::vector<RankTraffic> gather_traffic(Mesh& mesh, Execution& execution, const CollectiveListing& listing);

/// One line a collective and size: the calls of a rank, and over the ranks that made them the mean time of a call, how
/// much of it the fastest rank did not need (the straggler effect: time that ranks wait for the last one), and
/// algorithm and bus bandwidth of the mean.
std::string comms_table(const std::vector<RankTraffic>& ranks);

/// The rows of all ranks as CSV with a heading: rank, op, ranks, bytes, calls, seconds, algbw_gbps, busbw_gbps.
std::string comms_csv(const std::vector<RankTraffic>& ranks);

}  // namespace ferula
