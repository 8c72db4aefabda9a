#include "train/comms_report.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <tuple>
#include <type_traits>

#include "base/human.hpp"

namespace ferula {
namespace {

constexpr double kGigabits = 8e-9;  // of a byte

/// One collective and size over the ranks that called it.
struct Line {
  SizedTraffic sum;  // calls and seconds of all of them
  double fastest_s = 0.0;
  int callers = 0;

  void add(const SizedTraffic& rank) {
    if (callers == 0) sum = {rank.collective, rank.ranks, rank.bytes, 0, 0.0};
    fastest_s = callers == 0 ? rank.seconds : std::min(fastest_s, rank.seconds);
    sum.calls += rank.calls;
    sum.seconds += rank.seconds;
    ++callers;
  }
  double straggler_s() const { return sum.seconds / callers - fastest_s; }
};

std::vector<Line> lines_of(const std::vector<RankTraffic>& ranks) {
  std::map<std::tuple<Collective, int, std::int64_t>, Line> lines;
  for (const RankTraffic& rank : ranks)
    for (const SizedTraffic& row : rank) lines[{row.collective, row.ranks, row.bytes}].add(row);
  std::vector<Line> all;
  all.reserve(lines.size());
  for (const auto& [key, line] : lines) all.push_back(line);
  return all;
}

TensorView view_of(std::span<SizedTraffic> rows) {
  static_assert(std::is_trivially_copyable_v<SizedTraffic>);
  const auto bytes = std::as_writable_bytes(rows);
  return {bytes.data(), DType::u8, {std::ssize(bytes)}};
}

/// As DeepSpeed's logger writes it.
std::string line_of(const SizedTraffic& call) {
  const std::string time = call.seconds > 0.0 ? fmt::format("{:.2f}", 1e3 * call.seconds) : "unknown, on the GPU";
  return fmt::format("comm op: {} | time (ms): {} | msg size: {} | algbw (Gbps): {:.2f} | busbw (Gbps): {:.2f}",
                     name_of(call.collective), time, human_bytes(call.bytes), kGigabits * call.algorithm_bandwidth(),
                     kGigabits * call.bus_bandwidth());
}

}  // namespace

bool CollectiveListing::lists(Collective collective) const {
  return collectives.empty() || std::ranges::find(collectives, collective) != collectives.end();
}

CollectiveLines::CollectiveLines(TrafficLedger& traffic, Log& log, const CollectiveListing& listing)
    : traffic_(&traffic) {
  if (!listing.enabled || !listing.verbose) return;
  traffic.observe([&log, listing, left = kMostLines](const SizedTraffic& call) mutable {
    if (left == 0 || !listing.lists(call.collective)) return;
    log.info(line_of(call));
    if (--left == 0) log.info(fmt::format("{} collectives are told; comms.csv will have all by size", kMostLines));
  });
}

CollectiveLines::~CollectiveLines() { traffic_->observe({}); }

std::vector<RankTraffic> gather_traffic(Mesh& mesh, Execution& execution, const CollectiveListing& listing) {
  RankTraffic mine = mesh.traffic().by_size();
  std::erase_if(mine, [&](const SizedTraffic& row) { return !listing.lists(row.collective); });
  const std::size_t most =
      static_cast<std::size_t>(agree_max(mesh.world(), execution.communication, static_cast<double>(mine.size())));
  mine.resize(most);  // a row without calls is none
  std::vector<SizedTraffic> all(most * static_cast<std::size_t>(mesh.size()));
  if (most > 0) mesh.world().all_gather(execution.communication, view_of(mine), view_of(all));
  execution.communication.synchronize();
  std::vector<RankTraffic> ranks(static_cast<std::size_t>(mesh.size()));
  for (std::size_t index = 0; index < all.size(); ++index)
    if (all[index].calls > 0) ranks[index / most].push_back(all[index]);
  return ranks;
}

std::string comms_table(const std::vector<RankTraffic>& ranks) {
  std::string text = fmt::format(
      "collectives by size (a rank's calls, the mean of the ranks)\n  {:<16}{:>6}{:>12}{:>10}"
      "{:>12}{:>14}{:>14}{:>14}\n",
      "", "ranks", "size", "calls", "mean ms", "straggler ms", "algbw Gbps", "busbw Gbps");
  for (const Line& line : lines_of(ranks)) {
    const double calls = static_cast<double>(line.sum.calls) / line.callers;
    text += fmt::format("  {:<16}{:>6}{:>12}{:>10.0f}{:>12.3f}{:>14.3f}{:>14.2f}{:>14.2f}\n",
                        name_of(line.sum.collective), line.sum.ranks, human_bytes(line.sum.bytes), calls,
                        1e3 * line.sum.seconds / static_cast<double>(line.sum.calls), 1e3 * line.straggler_s() / calls,
                        kGigabits * line.sum.algorithm_bandwidth(), kGigabits * line.sum.bus_bandwidth());
  }
  text.pop_back();
  return text;
}

std::string comms_csv(const std::vector<RankTraffic>& ranks) {
  std::string text = "rank,op,ranks,bytes,calls,seconds,algbw_gbps,busbw_gbps\n";
  for (std::size_t rank = 0; rank < ranks.size(); ++rank)
    for (const SizedTraffic& row : ranks[rank])
      text +=
          fmt::format("{},{},{},{},{},{:.6f},{:.4f},{:.4f}\n", rank, name_of(row.collective), row.ranks, row.bytes,
                      row.calls, row.seconds, kGigabits * row.algorithm_bandwidth(), kGigabits * row.bus_bandwidth());
  return text;
}

}  // namespace ferula
