// Without a GPU: the multiplication that kernels divide by.
#include "ops/cuda/fast_divide.hpp"

#include <gtest/gtest.h>

namespace ferula::cuda {
namespace {

TEST(FastDivide, GivesTheQuotientOfEveryNumberBelowTwoToThe31) {
  constexpr std::uint32_t kMost = (1u << 31) - 1;
  for (const std::uint32_t divisor : {1u, 2u, 3u, 5u, 7u, 192u, 384u, 641u, 1023u, 65537u, (1u << 30) + 1, kMost}) {
    const FastDivide fast = fast_divide_by(divisor);
    for (std::uint32_t quotient : {0u, 1u, 2u, 1000u, kMost / divisor})
      for (const std::int64_t rest : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}, std::int64_t{divisor} - 1}) {
        const std::int64_t number = std::int64_t{quotient} * divisor + rest;
        if (number < 0 || number > kMost) continue;
        EXPECT_EQ(fast.quotient(static_cast<std::uint32_t>(number)), number / divisor) << number << " / " << divisor;
      }
  }
}

TEST(FastDivide, RefusesZero) { EXPECT_ANY_THROW(fast_divide_by(0)); }

}  // namespace
}  // namespace ferula::cuda
