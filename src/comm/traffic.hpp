// Counts what a rank sends: calls, elements and bytes by collective, in the unit in which the ZeRO papers count.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string_view>

namespace ferula {

enum class Collective : std::uint8_t { all_reduce, all_gather, reduce_scatter, broadcast, point_to_point };
inline constexpr std::size_t kCollectives = 5;
std::string_view name_of(Collective collective);

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

/// Thread-safe.
class TrafficLedger {
 public:
  void add(Collective collective, std::int64_t elements, std::int64_t bytes, double seconds);
  TrafficCounts counts() const;
  Traffic of(Collective collective) const;
  Traffic total() const;

 private:
  mutable std::mutex mutex_;
  TrafficCounts counts_{};
};

}  // namespace ferula
