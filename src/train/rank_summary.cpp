#include "train/rank_summary.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <type_traits>

namespace ferula {
namespace {

/// A row as it travels: of fixed size, without pointers.
struct PackedSummary {
  std::array<char, 64> host{};
  std::array<char, 32> device{};
  std::array<std::int64_t, kMemoryKinds> memory_bytes{};
  std::int64_t peak_bytes = 0;
  std::int64_t host_bytes = 0;
  std::int64_t steps = 0;
  TrafficCounts traffic{};
  double step_seconds = 0.0;
};
static_assert(std::is_trivially_copyable_v<PackedSummary>);

template <std::size_t Size>
void put_text(std::array<char, Size>& field, const std::string& text) {
  text.copy(field.data(), Size - 1);
}

PackedSummary packed(const RankSummary& row) {
  PackedSummary out{.memory_bytes = row.memory_bytes,
                    .peak_bytes = row.peak_bytes,
                    .host_bytes = row.host_bytes,
                    .steps = row.steps,
                    .traffic = row.traffic,
                    .step_seconds = row.step_seconds};
  put_text(out.host, row.host);
  put_text(out.device, row.device);
  return out;
}

RankSummary unpacked(int rank, const PackedSummary& row) {
  return {.rank = rank,
          .host = row.host.data(),
          .device = row.device.data(),
          .memory_bytes = row.memory_bytes,
          .peak_bytes = row.peak_bytes,
          .host_bytes = row.host_bytes,
          .steps = row.steps,
          .traffic = row.traffic,
          .step_seconds = row.step_seconds};
}

template <class T>
TensorView bytes_view(std::span<T> objects) {
  const auto bytes = std::as_writable_bytes(objects);
  return {bytes.data(), DType::u8, {static_cast<std::int64_t>(bytes.size())}};
}

}  // namespace

double busy_seconds(const PhaseTimes& phases) {
  double seconds = 0.0;
  for (const Phase phase : {Phase::forward, Phase::backward, Phase::optimizer, Phase::data})
    seconds += phases.seconds(phase);
  return seconds;
}

RankSummary summary_of_rank(Mesh& mesh, Execution& execution, const RankTotals& totals) {
  RankSummary row{.rank = mesh.rank(), .host = mesh.host(), .device = execution.device.name()};
  const MemoryLedger& ledger = execution.device.ledger();
  for (std::size_t kind = 0; kind < kMemoryKinds; ++kind)
    row.memory_bytes[kind] = ledger.peak_bytes(static_cast<MemoryKind>(kind));
  row.peak_bytes = ledger.peak_bytes();
  row.host_bytes = totals.host_bytes;
  row.steps = totals.steps;
  row.traffic = totals.traffic;
  if (totals.steps > 0) row.step_seconds = busy_seconds(execution.phases) / static_cast<double>(totals.steps);
  return row;
}

std::vector<RankSummary> gather_summaries(Mesh& mesh, Execution& execution, const RankTotals& totals) {
  std::array<PackedSummary, 1> mine{packed(summary_of_rank(mesh, execution, totals))};
  std::vector<PackedSummary> all(static_cast<std::size_t>(mesh.size()));
  mesh.world().all_gather(execution.communication, bytes_view(std::span<PackedSummary>(mine)),
                          bytes_view(std::span<PackedSummary>(all)));
  execution.communication.synchronize();
  std::vector<RankSummary> rows;
  rows.reserve(all.size());
  for (const PackedSummary& row : all) rows.push_back(unpacked(static_cast<int>(rows.size()), row));
  return rows;
}

SlowestRank slowest_rank(const std::vector<RankSummary>& ranks) {
  std::vector<double> seconds;
  seconds.reserve(ranks.size());
  for (const RankSummary& row : ranks) seconds.push_back(row.step_seconds);
  const auto slowest = std::max_element(seconds.begin(), seconds.end());
  const double longest = *slowest;
  const int rank = static_cast<int>(slowest - seconds.begin());
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[(seconds.size() - 1) / 2];
  return {rank, median > 0.0 ? 100.0 * (longest / median - 1.0) : 0.0};
}

}  // namespace ferula
