// The angles of rotary embedding, reduced to a quarter turn in double so that large positions stay exact.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "ops/ops.hpp"

namespace ferula::cpu {

/// Pairs of the largest head that rotary embedding supports; also padding for whole vectors.
inline constexpr std::int64_t kMostPairs = 256;

/// angle = rest + quadrant · π/2 with |rest| ≤ π/4. Entries behind the last pair are 0.
struct ReducedAngles {
  alignas(64) std::array<float, kMostPairs> rest{};
  alignas(64) std::array<std::int32_t, kMostPairs> quadrant{};
};

/// theta^(−2i/head_dim) for each pair i, negated for the backward rotation.
inline std::array<double, kMostPairs> rotary_frequencies(float theta, std::int64_t head_dim,
                                                         RotaryDirection direction) {
  std::array<double, kMostPairs> frequencies{};
  const double sign = direction == RotaryDirection::forward ? 1.0 : -1.0;
  for (std::int64_t i = 0; i < head_dim / 2; ++i)
    frequencies[static_cast<std::size_t>(i)] =
        sign * std::pow(static_cast<double>(theta), -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
  return frequencies;
}

/// Reduces position · frequency by Cody and Waite's method with π/2 in two parts.
/// The error is below 1e-9 + 3e-16 · |angle|, besides the rounding of `rest` to f32.
inline void reduce_angles(const std::array<double, kMostPairs>& frequencies, std::int64_t pairs, std::int32_t position,
                          ReducedAngles& angles) {
  constexpr double kTwoOverPi = 0.6366197723675814;
  constexpr double kHalfPiHigh = 0x1.921fbp+0;  // 21 bits: its product with a quadrant of 31 bits is exact
  constexpr double kHalfPiLow = 3.139164786504813e-07;
  constexpr double kRound = 0x1.8p52;  // adding and subtracting it rounds to an integer
  for (std::int64_t i = 0; i < pairs; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double angle = position * frequencies[at];
    const double turns = (angle * kTwoOverPi + kRound) - kRound;
    angles.rest[at] = static_cast<float>((angle - turns * kHalfPiHigh) - turns * kHalfPiLow);
    angles.quadrant[at] = static_cast<std::int32_t>(turns);
  }
}

}  // namespace ferula::cpu
