// Division by a number that the host knows: a kernel multiplies and shifts where it would divide.
#pragma once

#include <cuda_runtime_api.h>

#include <bit>
#include <cstdint>

#include "base/error.hpp"

namespace ferula::cuda {

/// ⌊n / divisor⌋ = (⌊n · magic / 2³²⌋ + n) / 2^shift for 0 ≤ n < 2³¹ (Granlund, Montgomery 1994, figure 4.1).
struct FastDivide {
  std::uint32_t divisor = 1, magic = 1, shift = 0;

  __host__ __device__ std::uint32_t quotient(std::uint32_t n) const {
    return (static_cast<std::uint32_t>(static_cast<std::uint64_t>(n) * magic >> 32) + n) >> shift;
  }
};

inline FastDivide fast_divide_by(std::int64_t divisor) {
  FERULA_CHECK(divisor >= 1 && divisor < (std::int64_t{1} << 31), "a division by {}", divisor);
  const auto number = static_cast<std::uint32_t>(divisor);
  const auto shift = static_cast<std::uint32_t>(std::bit_width(number - 1));
  const std::uint64_t excess = (std::uint64_t{1} << shift) - number;
  return {number, static_cast<std::uint32_t>((excess << 32) / number + 1), shift};
}

}  // namespace ferula::cuda
