// Every step of every layout from the very state that one rank had: nothing has drifted, so one narrow bound holds for
// all steps, in f32 and bf16 alike. docs/numerics.md derives it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "support/train/tiny_run.hpp"
#include "support/train/whole_state.hpp"

namespace ferula::test {
namespace {

/// √n · 2⁻²⁴ for the n = 768 rows of a step, rounded up.
constexpr double kBound = 2e-6;

/// A run on one rank: its state before each step, and what the step gave.
struct Course {
  std::deque<WholeState> states;
  Curve curve;
};

void append(Curve& curve, const StepResult& result) {
  curve.losses.push_back(result.loss);
  curve.norms.push_back(result.gradient_norm);
}

void record(const TinyRun& run, Course& course) {
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    for (std::int64_t step = 0; step < run.steps; ++step) {
      course.states.emplace_back().add(rank.store.owned_pieces());
      append(course.curve, rank.trainer.step());
    }
  });
}

void take_over(TinyRank& rank, const WholeState& state) {
  const std::vector<OwnedPiece> pieces = rank.store.needed_pieces();
  state.fill(pieces);
  rank.store.adopt_loaded_state(true);
}

/// What each step gives on another layout.
Curve steps_from(const Course& course, const TinyRun& run) {
  Curve curve;
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    for (const WholeState& state : course.states) {
      take_over(rank, state);
      const StepResult result = rank.trainer.step();
      if (rank.rank.mesh.rank() == 0) append(curve, result);
    }
  });
  return curve;
}

/// The gradient norm of each step with one tensor's gradient multiplied by `factor` before the sums over ranks.
std::vector<double> norms_with_error(const Course& course, const TinyRun& run, float factor) {
  std::vector<double> norms;
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    StepPlace place{.step = 1, .samples_seen = 0};
    for (const WholeState& state : course.states) {
      take_over(rank, state);
      const double norm = norm_with_planted_error(rank, place, factor);
      if (rank.rank.mesh.rank() == 0) norms.push_back(norm);
      ++place.step;
      place.samples_seen += rank.loader.shape().samples_per_step();
    }
  });
  return norms;
}

/// |a / b − 1| of each step.
std::vector<double> relative_differences(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  std::vector<double> differences;
  for (std::size_t step = 0; step < std::min(a.size(), b.size()); ++step)
    differences.push_back(std::abs(a[step] / b[step] - 1));
  return differences;
}

double largest(const std::vector<double>& values) { return *std::max_element(values.begin(), values.end()); }
double smallest(const std::vector<double>& values) { return *std::min_element(values.begin(), values.end()); }

/// Every stage; two, three and four ranks and a hybrid; one, two and four micro batches.
std::vector<TinyRun> layouts_of(const TinyRun& one) {
  struct Layout {
    int stage;
    MeshShape shape;
    std::int64_t accumulation;
  };
  std::vector<TinyRun> runs;
  for (const Layout& layout :
       {Layout{0, {.shard = 2}, 4}, Layout{1, {.shard = 3}, 2}, Layout{1, {.replica = 2, .shard = 2}, 1},
        Layout{2, {.shard = 2}, 2}, Layout{2, {.shard = 4}, 1}, Layout{3, {.shard = 2}, 1}, Layout{3, {.shard = 3}, 4},
        Layout{3, {.replica = 2, .shard = 2}, 2}}) {
    runs.push_back(one);
    runs.back().stage = layout.stage;
    runs.back().shape = layout.shape;
    runs.back().accumulation = layout.accumulation;
  }
  return runs;
}

class LayoutSteps : public testing::TestWithParam<TinyRun> {};
INSTANTIATE_TEST_SUITE_P(FromOneRank, LayoutSteps,
                         testing::Values(TinyRun{.family = "gpt2", .compute = DType::f32},
                                         TinyRun{.family = "gpt2", .compute = DType::bf16},
                                         TinyRun{.family = "llama", .compute = DType::f32},
                                         TinyRun{.family = "llama", .compute = DType::bf16}),
                         [](const auto& info) {
                           return fmt::format("{}_{}", info.param.family, name_of(info.param.compute));
                         });

TEST_P(LayoutSteps, AgreeWithOneRankAtEachOfFiftySteps) {
  Course course;
  record(GetParam(), course);

  for (const TinyRun& run : layouts_of(GetParam())) {
    const Curve curve = steps_from(course, run);

    EXPECT_LE(largest(relative_differences(curve.losses, course.curve.losses)), kBound) << name_of_run(run);
    EXPECT_LE(largest(relative_differences(curve.norms, course.curve.norms)), kBound) << name_of_run(run);
  }
}

TEST_P(LayoutSteps, SeeAPlantedErrorOfOnePercentInOneGradientAtEachOfFiftySteps) {
  Course course;
  record(GetParam(), course);
  TinyRun two_ranks = GetParam();
  two_ranks.shape = {.replica = 1, .shard = 2};

  const std::vector<double> right = norms_with_error(course, two_ranks, 1.0f);
  const std::vector<double> wrong = norms_with_error(course, two_ranks, 1.01f);

  EXPECT_LE(largest(relative_differences(right, course.curve.norms)), kBound);
  EXPECT_GT(smallest(relative_differences(wrong, course.curve.norms)), 10 * kBound);
}

}  // namespace
}  // namespace ferula::test
