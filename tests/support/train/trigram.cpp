#include "support/train/trigram.hpp"

#include <bit>
#include <cmath>

#include "base/error.hpp"

namespace ferula::test {
namespace {

constexpr int kIterations = 60;

std::uint32_t key_of(std::int32_t before, std::int32_t last, std::int32_t next) {
  for (const std::int32_t byte : {before, last, next})
    FERULA_CHECK(byte >= 0 && byte < 256, "a byte model was given token {}", byte);
  return static_cast<std::uint32_t>(before << 16 | last << 8 | next);
}

/// The last `bytes` bytes of a key.
std::uint32_t tail(std::uint32_t key, int bytes) { return key & ((1u << (8 * bytes)) - 1); }

std::size_t digits(std::int64_t count) {
  return static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(count)));
}

std::int64_t found(const std::unordered_map<std::uint32_t, std::int64_t>& counts, std::uint32_t key) {
  const auto entry = counts.find(key);
  return entry == counts.end() ? 0 : entry->second;
}

}  // namespace

TrigramModel::TrigramModel(std::span<const std::int32_t> training) {
  for (std::size_t index = 2; index < training.size(); ++index)
    count(key_of(training[index - 2], training[index - 1], training[index]));
  for (int order = 1; order <= kOrders; ++order) fit(order);
}

void TrigramModel::count(Key event) {
  for (int order = 1; order <= kOrders; ++order) {
    Order& counts = orders_[static_cast<std::size_t>(order - 1)];
    const Key key = tail(event, order);
    ++counts.events[key];
    ++counts.histories[key >> 8];
  }
}

void TrigramModel::fit(int order) {
  Order& counts = orders_[static_cast<std::size_t>(order - 1)];
  counts.weight.fill(0.5);
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    std::array<double, 64> events{}, explained{};
    for (const auto& [event, times] : counts.events) {
      const std::int64_t seen = found(counts.histories, event >> 8) - 1;
      if (seen == 0) continue;
      const double share = static_cast<double>(times - 1) / static_cast<double>(seen);
      const double upper = counts.weight[digits(seen)] * share;
      events[digits(seen)] += static_cast<double>(times);
      explained[digits(seen)] += static_cast<double>(times) * upper / mixed(event, order, 1);
    }
    // One more event, explained by the lower order alone, keeps a chance for bytes that the training text lacks.
    for (std::size_t bucket = 1; bucket < events.size(); ++bucket)
      counts.weight[bucket] =
          events[bucket] > 0.0 ? explained[bucket] / (events[bucket] + 1.0) : counts.weight[bucket - 1];
  }
}

double TrigramModel::mixed(Key event, int order, std::int64_t removed) const {
  if (order == 0) return 1.0 / 256;
  const Order& counts = orders_[static_cast<std::size_t>(order - 1)];
  const double lower = mixed(tail(event, order - 1), order - 1, removed);
  const std::int64_t seen = found(counts.histories, event >> 8) - removed;
  if (seen == 0) return lower;
  const double share = static_cast<double>(found(counts.events, event) - removed) / static_cast<double>(seen);
  const double weight = counts.weight[digits(seen)];
  return weight * share + (1.0 - weight) * lower;
}

double TrigramModel::probability(std::int32_t before, std::int32_t last, std::int32_t next) const {
  return mixed(key_of(before, last, next), kOrders, 0);
}

double TrigramModel::loss(std::span<const std::int32_t> tokens, std::size_t first) const {
  FERULA_CHECK(first >= 2 && first < tokens.size(), "the first of {} tokens to predict is {}", tokens.size(), first);
  double sum = 0.0;
  for (std::size_t index = first; index < tokens.size(); ++index)
    sum -= std::log(probability(tokens[index - 2], tokens[index - 1], tokens[index]));
  return sum / static_cast<double>(tokens.size() - first);
}

double TrigramModel::weight(int order, std::int64_t count) const {
  return orders_.at(static_cast<std::size_t>(order - 1)).weight[digits(count)];
}

}  // namespace ferula::test
