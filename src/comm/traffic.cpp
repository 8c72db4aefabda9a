#include "comm/traffic.hpp"

#include <utility>

namespace ferula {
namespace {

std::size_t index_of(Collective collective) { return static_cast<std::size_t>(collective); }

constexpr std::array<std::string_view, kCollectives> kNames{"all_reduce", "all_gather", "reduce_scatter", "broadcast",
                                                            "point_to_point"};

}  // namespace

std::string_view name_of(Collective collective) { return kNames.at(index_of(collective)); }

std::optional<Collective> collective_named(std::string_view name) {
  for (std::size_t each = 0; each < kCollectives; ++each)
    if (kNames[each] == name) return static_cast<Collective>(each);
  return std::nullopt;
}

double SizedTraffic::algorithm_bandwidth() const {
  return seconds > 0.0 ? static_cast<double>(calls * bytes) / seconds : 0.0;
}

double SizedTraffic::bus_bandwidth() const {
  const double others = static_cast<double>(ranks - 1) / ranks;
  switch (collective) {
    case Collective::all_reduce:
      return 2.0 * others * algorithm_bandwidth();
    case Collective::all_gather:
    case Collective::reduce_scatter:
      return others * algorithm_bandwidth();
    default:
      return algorithm_bandwidth();
  }
}

void TrafficLedger::add(Collective collective, std::int64_t elements, std::int64_t bytes, double seconds, int ranks) {
  const std::lock_guard lock(mutex_);
  Traffic& traffic = counts_.at(index_of(collective));
  ++traffic.calls;
  traffic.elements += elements;
  traffic.bytes += bytes;
  traffic.seconds += seconds;
  const std::int64_t once = collective == Collective::all_reduce ? bytes / 2 : bytes;
  const BySize::key_type size{collective, ranks, once};
  if (last_ == nullptr || last_->first != size) last_ = &*calls_.try_emplace(size).first;
  ++last_->second.count;
  last_->second.seconds += seconds;
  if (observer_) observer_({.collective = collective, .ranks = ranks, .bytes = once, .calls = 1, .seconds = seconds});
}

void TrafficLedger::observe(std::function<void(const SizedTraffic&)> observer) {
  const std::lock_guard lock(mutex_);
  observer_ = std::move(observer);
}

std::vector<SizedTraffic> TrafficLedger::by_size() const {
  const std::lock_guard lock(mutex_);
  std::vector<SizedTraffic> all;
  all.reserve(calls_.size());
  for (const auto& [what, calls] : calls_) {
    const auto& [collective, ranks, bytes] = what;
    all.push_back(
        {.collective = collective, .ranks = ranks, .bytes = bytes, .calls = calls.count, .seconds = calls.seconds});
  }
  return all;
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
