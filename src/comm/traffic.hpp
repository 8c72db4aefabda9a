// Counts what a rank sends: calls, elements and bytes by collective, in the unit in which the ZeRO papers count.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

namespace ferula {

enum class Collective : std::uint8_t { all_reduce, all_gather, reduce_scatter, broadcast, point_to_point };
inline constexpr std::size_t kCollectives = 5;
std::string_view name_of(Collective collective);
/// The collective of that name; none where there is no such.
std::optional<Collective> collective_named(std::string_view name);

/// `elements` and `bytes` are the size of the whole tensor; an all-reduce counts it twice. Groups of one count nothing.
struct Traffic {
  std::int64_t calls = 0;
  std::int64_t elements = 0;
  std::int64_t bytes = 0;
  double seconds = 0.0;  // inside the collective, waiting for peers included; 0 where it works on the GPU alone
};

/// Traffic by collective.
using TrafficCounts = std::array<Traffic, kCollectives>;
/// Adds what has come from `before` to `after` to `sum`.
void add_difference(TrafficCounts& sum, const TrafficCounts& before, const TrafficCounts& after);

/// Calls of one collective with tensors of one size among so many ranks.
struct SizedTraffic {
  Collective collective = Collective::all_reduce;
  int ranks = 1;
  std::int64_t bytes = 0;  // of the whole tensor, once
  std::int64_t calls = 0;
  double seconds = 0.0;  // of all calls

  /// Bytes a second of the tensor; 0 where the time is unknown.
  double algorithm_bandwidth() const;
  /// What crosses a rank's link a second, by the factors of nccl-tests: all-reduce 2 (n − 1) / n, all-gather and
  /// reduce-scatter (n − 1) / n, others 1.
  double bus_bandwidth() const;
};

/// Thread-safe.
class TrafficLedger {
 public:
  /// One call among `ranks`; `elements` and `bytes` as in Traffic.
  void add(Collective collective, std::int64_t elements, std::int64_t bytes, double seconds, int ranks);
  /// From now on hands each call to `observer` as it ends, on the thread that counts it, one at a time; an empty one
  /// ends that. It must not call the ledger.
  void observe(std::function<void(const SizedTraffic&)> observer);
  TrafficCounts counts() const;
  /// By collective, ranks and size.
  std::vector<SizedTraffic> by_size() const;
  Traffic of(Collective collective) const;
  Traffic total() const;

 private:
  mutable std::mutex mutex_;
  TrafficCounts counts_{};
  struct Calls {
    std::int64_t count = 0;
    double seconds = 0.0;
  };
  using BySize = std::map<std::tuple<Collective, int, std::int64_t>, Calls>;  // by collective, ranks, bytes
  BySize calls_;
  BySize::value_type* last_ = nullptr;  // of calls_: small collectives often come in rows
  std::function<void(const SizedTraffic&)> observer_;
};

}  // namespace ferula
