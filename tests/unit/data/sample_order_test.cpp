// Each epoch is a permutation of its own that depends on the seed alone.
#include "data/sample_order.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.hpp"

namespace ferula {
namespace {

class SampleOrderSizes : public testing::TestWithParam<std::int64_t> {};

TEST_P(SampleOrderSizes, IsAPermutationInEveryEpoch) {
  const std::int64_t samples = GetParam();
  const SampleOrder order(17, samples);

  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int> seen(static_cast<std::size_t>(samples), 0);
    for (std::int64_t i = 0; i < samples; ++i) {
      const std::int64_t sample = order.index(epoch * samples + i);
      ASSERT_GE(sample, 0);
      ASSERT_LT(sample, samples);
      ++seen[static_cast<std::size_t>(sample)];
    }
    for (const int count : seen) ASSERT_EQ(count, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, SampleOrderSizes, testing::Values(1, 2, 3, 4, 5, 17, 1000, 65536, 65537));

double share_of_equal_places(const SampleOrder& first, std::int64_t first_epoch, const SampleOrder& second,
                             std::int64_t second_epoch) {
  std::int64_t equal = 0;
  for (std::int64_t i = 0; i < first.samples(); ++i) {
    equal += first.index(first_epoch * first.samples() + i) == second.index(second_epoch * second.samples() + i);
  }
  return static_cast<double>(equal) / static_cast<double>(first.samples());
}

TEST(SampleOrder, EpochsAndSeedsHaveOrdersOfTheirOwn) {
  const SampleOrder order(1, 1000);
  const SampleOrder other(2, 1000);

  // Two random permutations agree in one place on average (Poisson): 20 of 1000 has probability below 1e-18.
  EXPECT_LT(share_of_equal_places(order, 0, order, 1), 0.02);
  EXPECT_LT(share_of_equal_places(order, 1, order, 2), 0.02);
  EXPECT_LT(share_of_equal_places(order, 0, other, 0), 0.02);
}

TEST(SampleOrder, TheSameSeedGivesTheSameOrder) {
  const SampleOrder order(9, 333);
  const SampleOrder again(9, 333);

  for (std::int64_t i = 0; i < 1000; ++i) EXPECT_EQ(order.index(i), again.index(i));
}

TEST(SampleOrder, FirstSampleIsUniformOverEpochs) {
  constexpr std::int64_t kSamples = 5;
  constexpr std::int64_t kEpochs = 5000;
  const SampleOrder order(3, kSamples);
  std::vector<double> counts(kSamples, 0.0);

  for (std::int64_t epoch = 0; epoch < kEpochs; ++epoch)
    ++counts[static_cast<std::size_t>(order.index(epoch * kSamples))];

  double chi_square = 0.0;
  const double expected = static_cast<double>(kEpochs) / kSamples;
  for (const double count : counts) chi_square += (count - expected) * (count - expected) / expected;
  EXPECT_LT(chi_square, 23.5);  // the 99.99 % point of chi-square with 4 degrees of freedom
}

TEST(SampleOrder, NeighboursAreNotKeptTogether) {
  constexpr std::int64_t kSamples = 4096;
  const SampleOrder order(5, kSamples);

  double correlation = 0.0;
  const double mean = (kSamples - 1) / 2.0;
  const double variance = (static_cast<double>(kSamples) * kSamples - 1) / 12.0;
  for (std::int64_t i = 0; i + 1 < kSamples; ++i) {
    correlation += (static_cast<double>(order.index(i)) - mean) * (static_cast<double>(order.index(i + 1)) - mean);
  }
  // Of independent places: mean about 0, standard deviation 1 / √samples = 0.016; five of them.
  EXPECT_LT(std::abs(correlation / (variance * (kSamples - 1))), 0.08);
}

TEST(SampleOrder, RefusesNoSamplesAndNegativePositions) {
  EXPECT_THROW(SampleOrder(1, 0), Error);
  EXPECT_THROW(SampleOrder(1, 4).index(-1), Error);
}

}  // namespace
}  // namespace ferula
