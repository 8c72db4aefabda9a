// The distribution that the sampler draws from, the draw itself, and the options that are refused.
#include "generate/sampler.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "base/philox.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;

std::vector<float> random_logits(std::int64_t vocabulary, std::uint64_t key) {
  std::vector<float> logits;
  for (std::int64_t i = 0; i < vocabulary; ++i) {
    logits.push_back(static_cast<float>(2.5 * normal(key, static_cast<std::uint64_t>(i))));
  }
  return logits;
}

/// The definition, written the other way round: Hugging Face sorts ascending and cuts from below.
std::vector<double> reference(const std::vector<float>& logits, const std::vector<std::int32_t>& history,
                              const SamplingOptions& options) {
  std::vector<double> scores(logits.begin(), logits.end());
  std::vector<std::int32_t> unique = history;
  std::sort(unique.begin(), unique.end());
  unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
  for (const auto token : unique) {
    double& score = scores[static_cast<std::size_t>(token)];
    score = score < 0.0 ? score * options.repetition_penalty : score / options.repetition_penalty;
  }
  for (double& score : scores) score /= options.temperature;
  constexpr double kRemoved = -std::numeric_limits<double>::infinity();
  std::vector<std::size_t> ascending(scores.size());
  std::iota(ascending.begin(), ascending.end(), 0);
  std::sort(ascending.begin(), ascending.end(), [&](auto a, auto b) { return scores[a] < scores[b]; });
  if (options.top_k > 0 && options.top_k < static_cast<std::int64_t>(scores.size())) {
    const double least = scores[ascending[scores.size() - static_cast<std::size_t>(options.top_k)]];
    for (double& score : scores) score = score < least ? kRemoved : score;
  }
  const auto softmax = [&scores] {
    const double highest = *std::max_element(scores.begin(), scores.end());
    std::vector<double> result;
    for (const double score : scores) result.push_back(std::exp(score - highest));
    const double total = std::accumulate(result.begin(), result.end(), 0.0);
    for (double& value : result) value /= total;
    return result;
  };
  const std::vector<double> before = softmax();
  double below = 0.0;
  for (std::size_t i = 0; i + 1 < ascending.size(); ++i) {
    below += before[ascending[i]];
    if (options.top_p < 1.0 && below <= 1.0 - options.top_p) scores[ascending[i]] = kRemoved;
  }
  return softmax();
}

struct Case {
  const char* name;
  SamplingOptions options;
};

class SamplerDistribution : public testing::TestWithParam<Case> {};

TEST_P(SamplerDistribution, EqualsTheDefinition) {
  for (const std::int64_t vocabulary : {1, 2, 7, 300}) {
    const auto logits = random_logits(vocabulary, 11);
    const std::vector<std::int32_t> history{0, static_cast<std::int32_t>(vocabulary / 2), 0};
    Sampler sampler(GetParam().options, vocabulary);

    const auto actual = sampler.probabilities(logits, history);

    const auto expected = reference(logits, history, GetParam().options);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(actual[i], expected[i], 1e-13) << "token " << i << " of " << vocabulary;  // some roundings of 1e-16
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Options, SamplerDistribution,
    testing::Values(Case{"plain", {}}, Case{"cold", {.temperature = 0.5}}, Case{"hot", {.temperature = 3.0}},
                    Case{"top_k", {.top_k = 5}}, Case{"top_1", {.top_k = 1}}, Case{"top_k_above", {.top_k = 1000}},
                    Case{"top_p", {.top_p = 0.8}}, Case{"tiny_top_p", {.top_p = 1e-6}},
                    Case{"wide_top_p", {.top_p = 0.999}}, Case{"penalty", {.repetition_penalty = 1.3}},
                    Case{"reward", {.repetition_penalty = 0.7}},
                    Case{"all", {.temperature = 0.7, .top_k = 40, .top_p = 0.9, .repetition_penalty = 1.1}}),
    [](const auto& info) { return info.param.name; });

TEST(Sampler, KeepsTheTokenThatReachesTopP) {
  const std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  Sampler sampler({.top_p = 0.6}, 3);

  const auto probabilities = sampler.probabilities(logits, {});

  EXPECT_NEAR(probabilities[0], 0.625, 1e-6);  // the logits are f32
  EXPECT_NEAR(probabilities[1], 0.375, 1e-6);
  EXPECT_EQ(probabilities[2], 0.0);
}

TEST(Sampler, KeepsTokensThatTieWithTheLastOfTopK) {
  Sampler sampler({.top_k = 2}, 4);

  EXPECT_THAT(sampler.probabilities(std::vector<float>{1.0f, 2.0f, 1.0f, 0.0f}, {})[3], 0.0);
  EXPECT_GT(sampler.probabilities(std::vector<float>{1.0f, 2.0f, 1.0f, 0.0f}, {})[2], 0.0);
}

TEST(Sampler, DrawsFollowTheDistribution) {
  constexpr std::int64_t kDraws = 100'000;
  const auto logits = random_logits(20, 5);
  Sampler sampler({.temperature = 1.5, .top_k = 12, .top_p = 0.95, .repetition_penalty = 1.2, .seed = 77}, 20);
  const std::vector<std::int32_t> history{3, 4};
  const auto expected = sampler.probabilities(logits, history);
  std::vector<double> counts(20, 0.0);

  for (std::int64_t i = 0; i < kDraws; ++i) {
    ++counts[static_cast<std::size_t>(sampler.choose(logits, history, {.request = i % 100, .position = i / 100}))];
  }

  double chi_square = 0.0;
  int kinds = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (expected[i] == 0.0) {
      EXPECT_EQ(counts[i], 0.0) << "token " << i << " was cut";
      continue;
    }
    const double mean = expected[i] * kDraws;
    chi_square += (counts[i] - mean) * (counts[i] - mean) / mean;
    ++kinds;
  }
  ASSERT_LE(kinds, 12);
  EXPECT_LT(chi_square, 37.4);  // the 99.99 % point of chi-square with 11 degrees of freedom
}

TEST(Sampler, ADrawDependsOnItsPlaceAlone) {
  const auto logits = random_logits(50, 8);
  const auto others = random_logits(50, 9);
  Sampler alone({.seed = 3}, 50);
  Sampler busy({.seed = 3}, 50);

  for (std::int64_t position = 0; position < 50; ++position) {
    for (std::int64_t request = 0; request < 5; ++request) busy.choose(others, {}, {request, position});
    EXPECT_EQ(alone.choose(logits, {}, {2, position}), busy.choose(logits, {}, {2, position}));
  }
}

TEST(Sampler, RequestsPositionsAndSeedsDrawDifferently) {
  const std::vector<float> flat(1000, 0.0f);
  Sampler sampler({.seed = 3}, 1000);
  Sampler other({.seed = 4}, 1000);
  int equal = 0;

  for (std::int64_t i = 0; i < 100; ++i) {
    const auto token = sampler.choose(flat, {}, {0, i});
    equal += token == sampler.choose(flat, {}, {1, i});
    equal += token == sampler.choose(flat, {}, {0, i + 100});
    equal += token == other.choose(flat, {}, {0, i});
  }

  EXPECT_LE(equal, 6);  // 0.3 expected of 300 with probability 1/1000; more than 6 has probability below 1e-7
}

TEST(Sampler, GreedyTakesTheLowestIdOfEquals) {
  Sampler sampler({.choice = Choice::greedy}, 4);

  EXPECT_EQ(sampler.choose(std::vector<float>{1.0f, 3.0f, 3.0f, 2.0f}, {}, {}), 1);
  EXPECT_EQ(sampler.choose(std::vector<float>{0.0f, 0.0f, 0.0f, 0.0f}, {}, {}), 0);
}

TEST(Sampler, GreedyAppliesThePenalty) {
  Sampler sampler({.choice = Choice::greedy, .repetition_penalty = 2.0}, 3);

  EXPECT_EQ(sampler.choose(std::vector<float>{3.0f, 2.0f, -1.0f}, std::vector<std::int32_t>{0, 0}, {}), 1);
}

TEST(Sampler, NeverChoosesPadding) {
  Sampler greedy({.choice = Choice::greedy}, 2);
  Sampler sampler({}, 2);
  const std::vector<float> logits{0.0f, 1.0f, 50.0f};

  EXPECT_EQ(greedy.choose(logits, {}, {}), 1);
  for (std::int64_t i = 0; i < 50; ++i) EXPECT_LT(sampler.choose(logits, {}, {0, i}), 2);
}

TEST(Sampler, NegativeInfinityExcludesAToken) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  Sampler sampler({}, 3);

  EXPECT_EQ(sampler.choose(std::vector<float>{kNever, 0.0f, kNever}, {}, {}), 1);
}

TEST(Sampler, RefusesLogitsOfADivergedModel) {
  Sampler sampler({}, 2);

  EXPECT_THROW(sampler.choose(std::vector<float>{0.0f, std::nanf("")}, {}, {}), DataError);
  EXPECT_THROW(sampler.choose(std::vector<float>{0.0f, std::numeric_limits<float>::infinity()}, {}, {}), DataError);
}

TEST(SamplingOptions, EveryMistakeIsNamedAtOnce) {
  try {
    validate({.temperature = 0.0, .top_k = -1, .top_p = 1.5, .repetition_penalty = -2.0});
    FAIL() << "expected ConfigError";
  } catch (const ConfigError& error) {
    for (const char* name : {"temperature", "top_k", "top_p", "repetition_penalty"}) {
      EXPECT_THAT(error.what(), HasSubstr(name));
    }
  }
}

TEST(SamplingOptions, NotANumberIsRefused) {
  EXPECT_THROW(validate({.temperature = std::nan("")}), ConfigError);
  EXPECT_THROW(validate({.top_p = std::nan("")}), ConfigError);
}

}  // namespace
}  // namespace ferula
