// Every schedule against its closed form, in the step numbering of the trainer.
#include "train/learning_rate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "base/error.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;

constexpr double kRate = 3e-4;

SchedulerConfig scheduler(std::string type, std::int64_t warmup, std::int64_t total, std::string warmup_type) {
  SchedulerConfig config{.type = std::move(type), .params = {}};
  config.params.warmup_num_steps = warmup;
  config.params.total_num_steps = total;
  config.params.warmup_type = std::move(warmup_type);
  return config;
}

OptimizerConfig optimizer(double lr = kRate) {
  OptimizerConfig config;
  config.params.lr = lr;
  return config;
}

/// DeepSpeed's scheduler as it is written: an object with a counter that starts at −1 and is stepped after each
/// optimizer step. `ratio(iteration)` is the schedule, `initial` the rate before the first step.
std::vector<double> rates_by_stepping(double initial, const std::function<double(std::int64_t)>& rate,
                                      std::int64_t steps) {
  std::vector<double> rates;
  std::int64_t last_batch_iteration = -1;
  double current = initial;
  for (std::int64_t step = 0; step < steps; ++step) {
    rates.push_back(current);
    current = rate(++last_batch_iteration);
  }
  return rates;
}

void expect_rates(const LearningRate& learning_rate, const std::vector<double>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto step = static_cast<std::int64_t>(i) + 1;
    // The closed forms take a few rounded operations each.
    EXPECT_NEAR(learning_rate.at(step), expected[i], 1e-14 * (std::abs(expected[i]) + kRate)) << "step " << step;
  }
}

double log_warm_up(std::int64_t iteration, std::int64_t steps) {
  return std::log(static_cast<double>(iteration) + 1.0) / std::log(static_cast<double>(steps));
}

TEST(LearningRate, WarmupLRFollowsDeepSpeedOverTwiceTheWarmUp) {
  SchedulerConfig config = scheduler("WarmupLR", 10, 100, "log");
  config.params.warmup_min_lr = 1e-5;
  config.params.warmup_max_lr = 2e-3;

  const auto rate = [](std::int64_t i) { return 1e-5 + (2e-3 - 1e-5) * (i < 10 ? log_warm_up(i, 10) : 1.0); };
  expect_rates(LearningRate(config, optimizer()), rates_by_stepping(1e-5, rate, 20));
}

TEST(LearningRate, WarmupLRLinearTakesTheOptimizersRateAsMaximum) {
  const auto rate = [](std::int64_t i) { return kRate * std::min(1.0, static_cast<double>(i) / 7.0); };
  expect_rates(LearningRate(scheduler("WarmupLR", 7, 100, "linear"), optimizer()), rates_by_stepping(0.0, rate, 20));
}

TEST(LearningRate, AWarmUpOfOneStepCountsAsTwo) {
  const auto rate = [](std::int64_t i) { return i == 0 ? 0.0 : kRate; };
  expect_rates(LearningRate(scheduler("WarmupLR", 1, 100, "log"), optimizer()), rates_by_stepping(0.0, rate, 6));
}

TEST(LearningRate, WarmupDecayLRFallsLinearlyToZero) {
  SchedulerConfig config = scheduler("WarmupDecayLR", 5, 25, "log");
  config.params.warmup_max_lr = kRate;

  const auto rate = [](std::int64_t i) {
    return kRate * (i < 5 ? log_warm_up(i, 5) : std::max(0.0, static_cast<double>(25 - i) / 20.0));
  };
  expect_rates(LearningRate(config, optimizer()), rates_by_stepping(0.0, rate, 40));
}

TEST(LearningRate, WarmupDecayLRDefaultsToAMaximumOfOneThousandth) {
  const LearningRate learning_rate(scheduler("WarmupDecayLR", 5, 25, "linear"), optimizer());

  EXPECT_DOUBLE_EQ(learning_rate.at(5 + 2), 0.001);
}

TEST(LearningRate, WarmupCosineLRFollowsDeepSpeedBeyondTheEnd) {
  SchedulerConfig config = scheduler("WarmupCosineLR", 15, 150, "log");
  config.params.warmup_min_ratio = 0.1;
  config.params.cos_min_ratio = 0.01;

  const auto rate = [](std::int64_t i) {
    if (i < 15) return kRate * (0.1 + 0.9 * log_warm_up(i, 15));
    const double progress = std::min(1.0, static_cast<double>(i - 15 + 1) / 135.0);
    return kRate * (0.01 + 0.99 * (1.0 + std::cos(std::numbers::pi * progress)) / 2.0);
  };
  expect_rates(LearningRate(config, optimizer()), rates_by_stepping(0.0, rate, 170));
}

TEST(LearningRate, WarmupCosineLRWithoutRoomAfterTheWarmUpEndsAtItsMinimum) {
  const LearningRate learning_rate(scheduler("WarmupCosineLR", 10, 10, "linear"), optimizer());

  EXPECT_NEAR(learning_rate.at(12), kRate * 1e-4, 1e-18);
}

TEST(LearningRate, ConstantIsConstant) {
  const LearningRate learning_rate(scheduler("constant", 10, 100, "log"), optimizer());

  for (const std::int64_t step : {1, 2, 10, 1000}) EXPECT_EQ(learning_rate.at(step), kRate);
}

TEST(LearningRate, LinearRisesToTheRateAndFallsToTheFinalShare) {
  SchedulerConfig config = scheduler("linear", 4, 24, "log");
  config.params.cos_min_ratio = 0.1;
  const LearningRate learning_rate(config, optimizer());

  EXPECT_DOUBLE_EQ(learning_rate.at(1), kRate / 4);
  EXPECT_DOUBLE_EQ(learning_rate.at(4), kRate);
  EXPECT_DOUBLE_EQ(learning_rate.at(5), kRate);
  EXPECT_DOUBLE_EQ(learning_rate.at(15), kRate * 0.55);
  EXPECT_NEAR(learning_rate.at(25), kRate * 0.1, 1e-18);
  EXPECT_NEAR(learning_rate.at(99), kRate * 0.1, 1e-18);
}

TEST(LearningRate, CosineIsHalfwayInTheMiddle) {
  SchedulerConfig config = scheduler("cosine", 4, 24, "log");
  config.params.cos_min_ratio = 0.0;
  const LearningRate learning_rate(config, optimizer());

  EXPECT_DOUBLE_EQ(learning_rate.at(2), kRate / 2);
  EXPECT_DOUBLE_EQ(learning_rate.at(5), kRate);
  EXPECT_DOUBLE_EQ(learning_rate.at(10), kRate * 0.5 * (1.0 + std::cos(std::numbers::pi * 0.25)));
  EXPECT_DOUBLE_EQ(learning_rate.at(15), kRate * 0.5);
  EXPECT_NEAR(learning_rate.at(25), 0.0, 1e-18);
}

TEST(LearningRate, NamesEveryUnusableValueAtOnce) {
  const SchedulerConfig config = scheduler("OneShot", 0, 10, "sudden");

  try {
    LearningRate learning_rate(config, optimizer());
    FAIL() << "expected ConfigError";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("\"OneShot\""));
    EXPECT_THAT(error.what(), HasSubstr("\"sudden\""));
    EXPECT_THAT(error.what(), HasSubstr("warmup_num_steps must be a positive integer, got 0"));
  }
}

TEST(LearningRate, DecayNeedsATotal) {
  SchedulerConfig config = scheduler("cosine", 4, 24, "log");
  config.params.total_num_steps = {};

  EXPECT_THROW(LearningRate(config, optimizer()), ConfigError);
}

TEST(LearningRate, WarnsOfAWarmUpLongerThanTheRun) {
  const LearningRate learning_rate(scheduler("WarmupDecayLR", 50, 20, "log"), optimizer());

  EXPECT_THAT(learning_rate.warnings(), testing::ElementsAre("total_num_steps 20 is less than warmup_num_steps 50"));
}

TEST(LearningRate, StepsCountFromOne) {
  EXPECT_THROW(LearningRate(scheduler("constant", 1, 1, "log"), optimizer()).at(0), Error);
}

}  // namespace
}  // namespace ferula
