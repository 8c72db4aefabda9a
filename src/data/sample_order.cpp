#include "data/sample_order.hpp"

#include <bit>

#include "base/error.hpp"
#include "base/philox.hpp"

namespace ferula {

namespace {
constexpr std::uint64_t kRounds = 8;  // four give a pseudo-random permutation; small ranges mix better with more

int half_bits_for(std::int64_t samples) {
  const int bits = std::bit_width(static_cast<std::uint64_t>(samples - 1));
  return bits < 2 ? 1 : (bits + 1) / 2;
}
}  // namespace

SampleOrder::SampleOrder(std::uint64_t seed, std::int64_t samples)
    : key_(random_key(seed, "epoch")), samples_(samples) {
  FERULA_CHECK(samples > 0, "an order needs samples, got {}", samples);
  half_bits_ = half_bits_for(samples);
}

std::uint64_t SampleOrder::permute(std::uint64_t epoch, std::uint64_t value) const {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_;
  std::uint64_t right = value & mask;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const PhiloxBlock bits = philox(key_, epoch, (round << 32) | right);
    const std::uint64_t mixed = left ^ (bits[0] & mask);
    left = right;
    right = mixed;
  }
  return (left << half_bits_) | right;
}

std::int64_t SampleOrder::index(std::int64_t global_position) const {
  FERULA_CHECK(global_position >= 0, "a position of the stream is not negative, got {}", global_position);
  const auto epoch = static_cast<std::uint64_t>(global_position / samples_);
  auto value = static_cast<std::uint64_t>(global_position % samples_);
  do {
    value = permute(epoch, value);
  } while (value >= static_cast<std::uint64_t>(samples_));
  return static_cast<std::int64_t>(value);
}

}  // namespace ferula
