// Learning rates against DeepSpeed's engine and optimizers against PyTorch's: the numbers of tests/oracles/rules.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "ops/ops.hpp"
#include "support/train/golden_file.hpp"
#include "train/learning_rate.hpp"
#include "train/trainer.hpp"

namespace ferula {
namespace {

using test::open_golden;
using test::read_whole;

// --- learning rates --------------------------------------------------------------------------------------------------

constexpr double kRate = 3e-4;
constexpr std::size_t kRateSteps = 40;
constexpr std::size_t kColumns = 7;

/// The columns of rules.py; what is NaN was not given.
SchedulerConfig scheduler_of(const std::string& type, std::span<const double> row) {
  SchedulerConfig scheduler{.type = type, .params = {}};
  SchedulerParams& params = scheduler.params;
  const auto given = [&row](std::size_t column) { return !std::isnan(row[column]); };
  params.warmup_num_steps = std::llround(row[0]);
  if (given(1)) params.total_num_steps = std::llround(row[1]);
  if (given(2)) params.warmup_type = row[2] == 1.0 ? "log" : "linear";
  if (given(3)) params.warmup_min_lr = row[3];
  if (given(4)) params.warmup_max_lr = row[4];
  if (given(5)) params.warmup_min_ratio = row[5];
  if (given(6)) params.cos_min_ratio = row[6];
  return scheduler;
}

class DeepSpeedSchedule : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Types, DeepSpeedSchedule, testing::Values("WarmupLR", "WarmupDecayLR", "WarmupCosineLR"));

TEST_P(DeepSpeedSchedule, GivesEveryStepTheRateOfTheEngine) {
  const Hdf5File golden = open_golden("rules");
  const std::vector<double> params = read_whole<double>(golden, "/rates/" + GetParam() + "/params");
  const std::vector<double> rates = read_whole<double>(golden, "/rates/" + GetParam() + "/rates");
  const std::size_t cases = params.size() / kColumns;
  ASSERT_EQ(rates.size(), cases * kRateSteps);
  ASSERT_GE(cases, 9u);
  OptimizerConfig optimizer;
  optimizer.params.lr = kRate;

  for (std::size_t index = 0; index < cases; ++index) {
    const LearningRate ours(scheduler_of(GetParam(), std::span(params).subspan(index * kColumns, kColumns)), optimizer);
    for (std::size_t step = 0; step < kRateSteps; ++step) {
      const double theirs = rates[index * kRateSteps + step];
      // A few rounded operations in f64, in another order.
      EXPECT_NEAR(ours.at(static_cast<std::int64_t>(step) + 1), theirs, 1e-12 * std::abs(theirs))
          << "case " << index << ", step " << step + 1;
    }
  }
}

// --- optimizers ------------------------------------------------------------------------------------------------------

constexpr std::int64_t kElements = 67;
constexpr std::int64_t kSteps = 100;
constexpr std::array<std::int64_t, 6> kSeenSteps{1, 2, 3, 10, 50, 100};
constexpr double kClip = 1.0;

struct RuleCase {
  const char* name;
  OptimizerRule rule;
  double lr;
  float weight_decay;
};
const std::array<RuleCase, 7> kRules{{
    {"adamw", {.beta2 = 0.95f}, 1e-2, 0.1f},
    {"adam_l2", {.beta2 = 0.999f, .eps = 1e-6f, .decoupled_decay = false}, 1e-2, 0.05f},
    {"sgd", {.kind = OptimizerKind::sgd, .decoupled_decay = false}, 5e-2, 0.0f},
    {"sgd_decay", {.kind = OptimizerKind::sgd, .decoupled_decay = false}, 5e-2, 0.02f},
    {"sgd_momentum", {.kind = OptimizerKind::sgd, .momentum = 0.9f, .decoupled_decay = false}, 5e-2, 0.02f},
    {"sgd_nesterov",
     {.kind = OptimizerKind::sgd, .momentum = 0.9f, .nesterov = true, .decoupled_decay = false},
     5e-2,
     0.02f},
    {"lion", {.kind = OptimizerKind::lion, .beta2 = 0.99f}, 1e-3, 0.1f},
}};

TensorView view_of(std::vector<float>& values) {
  return {reinterpret_cast<std::byte*>(values.data()), DType::f32, {static_cast<std::int64_t>(values.size())}};
}

/// The values of one rule as Ops updates them, with the gradient's norm and the clipping of the trainer.
class Updated {
 public:
  Updated(const RuleCase& rule, std::vector<float> initial)
      : case_(rule), values_(std::move(initial)), moment1_(values_.size()), moment2_(values_.size()) {}

  const std::vector<float>& values() const { return values_; }

  void step(std::int64_t step, std::vector<float> gradient) {
    double squares = 0.0;
    ops_->sum_of_squares(*stream_, view_of(gradient), {reinterpret_cast<std::byte*>(&squares), DType::f64, {1}});
    const auto correction = [step](float beta) {
      return static_cast<float>(1.0 - std::pow(static_cast<double>(beta), static_cast<double>(step)));
    };
    std::vector<float> scalars(kStepScalars);
    scalars[kLearningRate] = static_cast<float>(case_.lr);
    scalars[kGradientScale] = static_cast<float>(clip_scale(std::sqrt(squares), kClip));
    scalars[kCorrection1] = correction(case_.rule.beta1);
    scalars[kCorrection2] = correction(case_.rule.beta2);
    scalars[kFirstStep] = step == 1 ? 1.0f : 0.0f;
    const std::array<DecaySegment, 1> decay{{{0, kElements, case_.weight_decay}}};
    ops_->optimizer_update(*stream_, case_.rule, view_of(scalars),
                           {.gradient = view_of(gradient),
                            .master = view_of(values_),
                            .value = {},
                            .moment1 = view_of(moment1_),
                            .moment2 = view_of(moment2_),
                            .decay = decay});
  }

 private:
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_ = make_cpu_device(ledger_);
  std::unique_ptr<Stream> stream_ = device_->make_stream();
  std::unique_ptr<Ops> ops_ = make_cpu_ops(*device_);
  RuleCase case_;
  std::vector<float> values_, moment1_, moment2_;
};

/// ‖ours − theirs‖ / ‖theirs‖.
double distance(std::span<const float> ours, std::span<const float> theirs) {
  double difference = 0.0, norm = 0.0;
  for (std::size_t index = 0; index < theirs.size(); ++index) {
    difference += std::pow(static_cast<double>(ours[index]) - theirs[index], 2);
    norm += std::pow(static_cast<double>(theirs[index]), 2);
  }
  return std::sqrt(difference / norm);
}

class TorchRule : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(Rules, TorchRule, testing::ValuesIn(kRules),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(TorchRule, HundredClippedStepsEndWherePyTorchEnds) {
  const Hdf5File golden = open_golden("rules");
  const std::vector<float> gradients = read_whole<float>(golden, "/optimizers/gradients");
  const std::vector<float> theirs = read_whole<float>(golden, std::string("/optimizers/values/") + GetParam().name);
  ASSERT_EQ(gradients.size(), static_cast<std::size_t>(kSteps * kElements));
  ASSERT_EQ(theirs.size(), kSeenSteps.size() * kElements);
  Updated ours(GetParam(), read_whole<float>(golden, "/optimizers/initial"));

  auto expected = theirs.begin();
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    const auto gradient = gradients.begin() + (step - 1) * kElements;
    ours.step(step, {gradient, gradient + kElements});
    if (std::find(kSeenSteps.begin(), kSeenSteps.end(), step) == kSeenSteps.end()) continue;
    // Each step rounds the value a few times by 2⁻²⁵ on average: √100 · 3 · 2⁻²⁵ ≈ 9e-7 would be a bad run.
    EXPECT_LT(distance(ours.values(), {expected, expected + kElements}), 1e-6) << "step " << step;
    expected += kElements;
  }
}

}  // namespace
}  // namespace ferula
