// Which element a dropout mask drops: the one mapping from an element's coordinates to random bits, for every backend.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/philox.hpp"

namespace ferula {

/// Where the random bits of one row come from: block b of four columns is philox(key, words with b as the first).
struct DropoutCounter {
  std::uint64_t key;
  PhiloxBlock words;
};

/// Words: column block (0 here), position, low and high half of the sample; the step moves the key by an odd constant.
inline DropoutCounter dropout_counter(std::uint64_t key, std::int64_t step, std::int64_t sample,
                                      std::int32_t position) {
  const auto wide_sample = static_cast<std::uint64_t>(sample);
  return {key + static_cast<std::uint64_t>(step) * 0x9E3779B97F4A7C15ull,
          {0, static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(wide_sample),
           static_cast<std::uint32_t>(wide_sample >> 32)}};
}

/// The random bits of columns [4 · column_block, 4 · column_block + 4) of one row.
inline PhiloxBlock dropout_block(std::uint64_t key, std::int64_t step, std::int64_t sample, std::int32_t position,
                                 std::uint32_t column_block) {
  DropoutCounter counter = dropout_counter(key, step, sample, position);
  counter.words[0] = column_block;
  return philox(counter.key, counter.words);
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
