#include "comm/traffic.hpp"

namespace ferula {
namespace {
std::size_t index_of(Collective collective) { return static_cast<std::size_t>(collective); }
}  // namespace

std::string_view name_of(Collective collective) {
  constexpr std::array<std::string_view, kCollectives> kNames{"all_reduce", "all_gather", "reduce_scatter", "broadcast",
                                                              "point_to_point"};
  return kNames.at(index_of(collective));
}

void TrafficLedger::add(Collective collective, std::int64_t elements, std::int64_t bytes, double seconds) {
  const std::lock_guard lock(mutex_);
  Traffic& traffic = counts_.at(index_of(collective));
  ++traffic.calls;
  traffic.elements += elements;
  traffic.bytes += bytes;
  traffic.seconds += seconds;
}

void add_difference(TrafficCounts& sum, const TrafficCounts& before, const TrafficCounts& after) {
  for (std::size_t each = 0; each < kCollectives; ++each) {
    sum[each].calls += after[each].calls - before[each].calls;
    sum[each].elements += after[each].elements - before[each].elements;
    sum[each].bytes += after[each].bytes - before[each].bytes;
    sum[each].seconds += after[each].seconds - before[each].seconds;
  }
}

TrafficCounts TrafficLedger::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

Traffic TrafficLedger::of(Collective collective) const {
  const std::lock_guard lock(mutex_);
  return counts_.at(index_of(collective));
}

Traffic TrafficLedger::total() const {
  const std::lock_guard lock(mutex_);
  Traffic sum;
  for (const Traffic& traffic : counts_) {
    sum.calls += traffic.calls;
    sum.elements += traffic.elements;
    sum.bytes += traffic.bytes;
    sum.seconds += traffic.seconds;
  }
  return sum;
}

}  // namespace ferula
