// Random numbers against the published known answers, and their moments.
#include "base/philox.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace ferula {
namespace {

// Random123 1.14.0, tests/kat_vectors, "philox4x32 10": counter, key → output.
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(philox(0, PhiloxBlock{0, 0, 0, 0}), (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(0xffffffffffffffff, PhiloxBlock{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822, PhiloxBlock{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, PairOfCountersIsLowWordsFirst) {
  EXPECT_EQ(philox(7, 0x0000000400000003, 0x0000000200000001), philox(7, PhiloxBlock{1, 2, 3, 4}));
}

TEST(RandomKey, IsFnv1aOverSeedAndName) {
  // Computed with a separate implementation of FNV-1a: the seed's eight bytes, lowest first, then the name's.
  EXPECT_EQ(random_key(1234, "blocks.0.attention.query.weight"), 0x27e9fcac21a25ed5ull);
}

TEST(RandomKey, DiffersBySeedAndByName) {
  EXPECT_NE(random_key(1, "dropout"), random_key(2, "dropout"));
  EXPECT_NE(random_key(1, "dropout"), random_key(1, "sampling"));
}

TEST(Uniform, LiesInTheHalfOpenUnitInterval) {
  EXPECT_EQ(uniform(0), 0.0f);
  EXPECT_LT(uniform(0xffffffff), 1.0f);
  EXPECT_EQ(uniform(0x80000000), 0.5f);
}

TEST(Normal, HasTheMomentsOfTheStandardNormal) {
  constexpr int kCount = 100'000;
  double sum = 0.0, squares = 0.0, fourth = 0.0;

  for (std::uint64_t index = 0; index < kCount; ++index) {
    const double x = normal(42, index);
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
  }

  // Five standard errors of each moment: 1/√n, √2/√n and √96/√n.
  const double error = 5.0 / std::sqrt(kCount);
  EXPECT_NEAR(sum / kCount, 0.0, error);
  EXPECT_NEAR(squares / kCount, 1.0, std::sqrt(2.0) * error);
  EXPECT_NEAR(fourth / kCount, 3.0, std::sqrt(96.0) * error);
}

TEST(Normal, DependsOnKeyAndIndexAlone) {
  EXPECT_EQ(normal(3, 17), normal(3, 17));
  EXPECT_NE(normal(3, 17), normal(3, 18));
  EXPECT_NE(normal(3, 17), normal(4, 17));
}

}  // namespace
}  // namespace ferula
