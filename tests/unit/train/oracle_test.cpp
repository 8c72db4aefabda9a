// Logits, every gradient and loss curves against transformers on PyTorch and against DeepSpeed's stages 0 to 3.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "comm/node_place.hpp"
#include "schedule/runner.hpp"
#include "support/rank_parts.hpp"
#include "support/train/golden.hpp"
#include "train/trainer.hpp"

namespace ferula {
namespace {

using test::Golden;
using test::RankParts;

void on_cpu_ranks(MeshShape shape, const std::function<void(RankParts&)>& body) {
  test::on_ranks_with(shape, make_cpu_ops, body);
}

/// A product of depth k in f32 errs by about √k · 2⁻²⁴ of its terms; six of them follow each other and the logits'
/// terms are up to ten times the logits. Both sides err, so 1e-5 leaves a factor of about four.
constexpr double kOnePass = 1e-5;
/// AdamW divides by √v, which carries the rounding of small gradients into the weights; DeepSpeed's own curves lie
/// 1.6e-6 from PyTorch's on this model after 100 steps.
constexpr double kHundredSteps = 2e-5;

double norm_of(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

/// ‖ours − theirs‖ / ‖theirs‖, where their norm is at least `floor`.
double distance(std::span<const float> ours, const std::vector<float>& theirs, double floor) {
  EXPECT_EQ(ours.size(), theirs.size());
  double sum = 0.0;
  for (std::size_t index = 0; index < theirs.size(); ++index) {
    const double difference = static_cast<double>(ours[index]) - theirs[index];
    sum += difference * difference;
  }
  return std::sqrt(sum) / std::max(norm_of(theirs), floor);
}

class Oracle : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, Oracle, testing::Values("gpt2", "llama"));

/// A golden model on one rank of any layout.
struct GoldenModel {
  GoldenModel(RankParts& rank, const Golden& golden, int stage, std::int64_t rows)
      : store(parameter_table(golden.spec(), DType::f32),
              {.rule = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8},
               .weight_decay = 0.1f,
               .persistence_threshold = 0,
               .stage = stage},
              rank.mesh, rank.execution),
        transformer(golden.spec(), store, rank.execution, {.rows = rows}) {
    golden.load_weights(store);
  }
  ParameterStore store;
  Transformer transformer;
};

constexpr std::int64_t kRows = Golden::kSequences * Golden::kLength;

TEST_P(Oracle, LogitsAreThoseOfTransformers) {
  const Golden golden(GetParam());
  on_cpu_ranks({}, [&](RankParts& rank) {
    GoldenModel model(rank, golden, 0, kRows);
    const KvCache cache(*rank.device, golden.spec(), DType::f32, Golden::kSequences, Golden::kLength);
    Golden::Batch batch = golden.batch(0, 0, Golden::kSequences);
    std::vector<std::int32_t> wanted(kRows);
    for (std::size_t row = 0; row < wanted.size(); ++row) wanted[row] = static_cast<std::int32_t>(row);
    std::vector<float> logits(static_cast<std::size_t>(kRows * golden.spec().vocabulary));

    model.transformer.decode(
        batch.view(), cache, {reinterpret_cast<std::byte*>(wanted.data()), DType::i32, {kRows}},
        {reinterpret_cast<std::byte*>(logits.data()), DType::f32, {kRows, golden.spec().vocabulary}});

    EXPECT_LT(distance(logits, golden.floats("/logits"), 0.0), kOnePass);
  });
}

TEST_P(Oracle, EveryGradientIsThatOfPyTorch) {
  const Golden golden(GetParam());
  on_cpu_ranks({}, [&](RankParts& rank) {
    GoldenModel model(rank, golden, 0, kRows);
    Golden::Batch batch = golden.batch(0, 0, Golden::kSequences);
    model.store.zero_gradients();
    model.transformer.forward(batch.view(), 0);
    model.transformer.backward(batch.view(), 0, 1.0f / kRows);

    std::size_t compared = 0;
    for (std::size_t unit = 0; unit < model.store.model().size(); ++unit) {
      const UnitLease gradient = model.store.gradient(unit);
      const UnitSpec& spec = model.store.model()[unit];
      for (std::size_t param = 0; param < spec.params.size(); ++param, ++compared) {
        const TensorView tensor = gradient.tensor(param);
        // Softmax ignores the bias of keys: its gradient is rounding alone, so it is measured against 1e-2.
        EXPECT_LT(distance(tensor.range(0, tensor.count()).span<float>(),
                           golden.floats("/gradients/" + spec.params[param].name), 1e-2),
                  kOnePass)
            << spec.params[param].name;
      }
    }
    EXPECT_EQ(compared, GetParam() == "gpt2" ? 4u + 2 * 16 : 3u + 2 * 9);
  });
}

struct CurvePair {
  std::vector<double> losses, norms;
};

/// 100 steps of AdamW with clipping on the golden batches, each rank with its share of the sequences.
CurvePair train(const Golden& golden, int stage, int ranks) {
  CurvePair curve;
  on_cpu_ranks({.replica = 1, .shard = ranks}, [&](RankParts& rank) {
    set_compute_threads(1);
    const std::int64_t each = Golden::kSequences / ranks;
    GoldenModel model(rank, golden, stage, each * Golden::kLength);
    Runner runner(model.transformer, model.store, rank.mesh.pipeline(), rank.execution);
    const Schedule schedule = training_schedule(0, 1, 1);
    for (std::int64_t step = 1; step <= 100; ++step) {
      Golden::Batch batch = golden.batch(step - 1, rank.mesh.rank() * each, each);
      double norm = 0.0;
      const auto update = [&] {
        norm = model.store.gradient_norm();
        model.store.update({.learning_rate = 3e-3, .gradient_scale = clip_scale(norm, 1.0), .step = step});
      };
      const double sum = runner.run(
          schedule,
          {.batch = [&](std::int64_t) { return batch.view(); }, .update = update, .loss_scale = 1.0f / kRows});
      const double loss = agree_sum(rank.mesh.data(), *rank.communication, sum) / kRows;
      if (rank.mesh.rank() != 0) continue;
      curve.losses.push_back(loss);
      curve.norms.push_back(norm);
    }
  });
  return curve;
}

double worst(const std::vector<double>& ours, const std::vector<double>& theirs, std::size_t from = 0) {
  double largest = 0.0;
  for (std::size_t step = 0; step < ours.size(); ++step)
    largest = std::max(largest, std::abs(ours[step] - theirs.at(from + step)));
  return largest;
}

TEST_P(Oracle, HundredStepsFollowPyTorch) {
  const Golden golden(GetParam());

  const CurvePair curve = train(golden, 0, 1);

  EXPECT_LT(worst(curve.losses, golden.doubles("/losses")), kHundredSteps);
  EXPECT_LT(worst(curve.norms, golden.doubles("/gradient_norms")), 10 * kHundredSteps);
  EXPECT_LT(curve.losses.back(), 0.2 * curve.losses.front());
}

TEST_P(Oracle, EachStageOnTwoRanksFollowsDeepSpeed) {
  const Golden golden(GetParam());
  const std::vector<double> theirs = golden.doubles("/deepspeed_losses");
  for (int stage = 0; stage <= 3; ++stage) {
    const CurvePair curve = train(golden, stage, 2);

    EXPECT_LT(worst(curve.losses, theirs, static_cast<std::size_t>(100 * stage)), kHundredSteps) << "stage " << stage;
  }
}

}  // namespace
}  // namespace ferula
