// What a run says of its collectives by size ([comms_logger]): a table of all ranks, and a file with the rows of each.
#pragma once

#include <string>
#include <vector>

#include "comm/mesh.hpp"
#include "ops/execution.hpp"

namespace ferula {

/// The traffic of one rank by collective, ranks and size.
using RankTraffic = std::vector<SizedTraffic>;

/// That of every rank, by rank, on every rank. Called by all ranks.
std::vector<RankTraffic> gather_traffic(Mesh& mesh, Execution& execution);

/// One line a collective and size: the calls of a rank, and over the ranks that made them the mean time of a call, how
/// much of it the fastest rank did not need (the straggler effect: time that ranks wait for the last one), and
/// algorithm and bus bandwidth of the mean.
std::string comms_table(const std::vector<RankTraffic>& ranks);

/// The rows of all ranks as CSV with a heading: rank, op, ranks, bytes, calls, seconds, algbw_gbps, busbw_gbps.
std::string comms_csv(const std::vector<RankTraffic>& ranks);

}  // namespace ferula
