// Which element a dropout mask drops: the one mapping from an element's coordinates to random bits, for every backend.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/philox.hpp"

namespace ferula {

/// The random bits of columns [4 · column_block, 4 · column_block + 4) of one row.
/// Counter words: column block, position, low and high half of the sample; the step moves the key by an odd constant.
inline PhiloxBlock dropout_block(std::uint64_t key, std::int64_t step, std::int64_t sample, std::int32_t position,
                                 std::uint32_t column_block) {
  const std::uint64_t step_key = key + static_cast<std::uint64_t>(step) * 0x9E3779B97F4A7C15ull;
  const auto wide_sample = static_cast<std::uint64_t>(sample);
  return philox(step_key,
                PhiloxBlock{column_block, static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(wide_sample),
                            static_cast<std::uint32_t>(wide_sample >> 32)});
}

/// The random bits of one element.
inline std::uint32_t dropout_bits(std::uint64_t key, std::int64_t step, std::int64_t sample, std::int32_t position,
                                  std::int64_t column) {
  return dropout_block(key, step, sample, position, static_cast<std::uint32_t>(column / 4))[column % 4];
}

/// An element is dropped where `bits >> 8` is below this: exactly where uniform(bits) < rate.
inline std::uint32_t dropout_threshold(float rate) {
  return static_cast<std::uint32_t>(std::ceil(static_cast<double>(rate) * 0x1p24));
}

}  // namespace ferula
