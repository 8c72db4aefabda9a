// Steps of one stage and of pipelines of simulated ranks against plain accumulation.
#include "schedule/runner.hpp"

#include <gtest/gtest.h>

#include "support/model_fixture.hpp"

namespace ferula::test {
namespace {

constexpr std::int64_t kMicrobatches = 4;
constexpr std::int64_t kRows = 9;

/// Micro batches of different sizes, one of them empty.
std::vector<TestBatch> step_batches(const TransformerSpec& spec) {
  return {TestBatch(spec, {7, 2}, 1), TestBatch(spec, {5}, 2), TestBatch(spec, {}, 3), TestBatch(spec, {9}, 4)};
}

/// The part of `stage` among `stages`, the last ones one block longer where they do not divide.
ModelChunk chunk_of(const TransformerSpec& spec, std::int64_t stage, std::int64_t stages) {
  return {spec.layers * stage / stages, spec.layers * (stage + 1) / stages};
}

struct StepResult {
  double loss = 0.0;
  std::vector<std::vector<double>> gradients;
  int updates = 0;
};

/// One step on the stage of this rank; gradients of tensors of other stages are zero.
StepResult run_step(RankParts& rank, const TransformerSpec& spec) {
  Communicator& pipeline = rank.mesh.pipeline();
  std::vector<TestBatch> batches = step_batches(spec);
  const TransformerSettings settings{.rows = kRows,
                                     .slots = slots_needed(pipeline.rank(), pipeline.size(), kMicrobatches)};
  TestModel model(rank, spec, settings, {}, chunk_of(spec, pipeline.rank(), pipeline.size()));
  Runner runner(model.transformer, model.store, pipeline, rank.execution);
  StepResult result;
  const StepWork work{
      .batch = [&](std::int64_t microbatch) { return batches.at(static_cast<std::size_t>(microbatch)).view(); },
      .update = [&] { ++result.updates; },
      .loss_scale = 0.05f};

  result.loss = runner.run(training_schedule(pipeline.rank(), pipeline.size(), kMicrobatches), work);
  result.gradients = all_gradients(model);
  return result;
}

TEST(Runner, OfOneStageAccumulatesTheMicroBatches) {
  const TransformerSpec spec = tiny_spec("gpt2");
  on_ranks(MeshShape{}, [&](RankParts& rank) {
    TestModel model(rank, spec, {.rows = kRows});
    double expected = 0.0;
    for (TestBatch& batch : step_batches(spec)) expected += model.train(batch, 0.05f);

    const StepResult result = run_step(rank, spec);

    EXPECT_EQ(result.loss, expected);
    EXPECT_EQ(result.gradients, all_gradients(model));
    EXPECT_EQ(result.updates, 1);
  });
}

TEST(Runner, StartsEachStepFromAZeroGradient) {
  const TransformerSpec spec = tiny_spec("llama");
  on_ranks(MeshShape{}, [&](RankParts& rank) {
    std::vector<TestBatch> batches = step_batches(spec);
    TestModel model(rank, spec, {.rows = kRows});
    Runner runner(model.transformer, model.store, rank.mesh.pipeline(), rank.execution);
    const StepWork work{
        .batch = [&](std::int64_t microbatch) { return batches.at(static_cast<std::size_t>(microbatch)).view(); },
        .update = [] {},
        .loss_scale = 0.05f};

    const double first = runner.run(training_schedule(0, 1, kMicrobatches), work);
    const auto gradients = all_gradients(model);
    const double second = runner.run(training_schedule(0, 1, kMicrobatches), work);

    EXPECT_EQ(second, first);
    EXPECT_EQ(all_gradients(model), gradients);
  });
}

/// The residual stream is added in another place at a border: a few roundings of 2⁻²⁴.
TEST(Runner, OfAPipelineGivesLossAndGradientsOfOneStage) {
  for (TransformerSpec spec : {tiny_spec("llama"), tiny_grouped_spec()}) {
    spec.dropout = 0.1f;
    StepResult expected;
    on_ranks(MeshShape{}, [&](RankParts& rank) { expected = run_step(rank, spec); });
    for (const int stages : {2, 3}) {
      std::vector<StepResult> results(static_cast<std::size_t>(stages));
      on_ranks({.pipeline = stages},
               [&](RankParts& rank) { results.at(static_cast<std::size_t>(rank.mesh.rank())) = run_step(rank, spec); });

      double loss = 0.0;
      std::vector<std::vector<double>> gradients = results.front().gradients;
      for (const StepResult& result : results) loss += result.loss;
      for (std::size_t stage = 1; stage < results.size(); ++stage)
        for (std::size_t tensor = 0; tensor < gradients.size(); ++tensor)
          for (std::size_t index = 0; index < gradients[tensor].size(); ++index)
            gradients[tensor][index] += results[stage].gradients[tensor][index];
      EXPECT_NEAR(loss, expected.loss, 1e-6 * expected.loss);
      EXPECT_LT(worst_difference(gradients, expected.gradients), 2e-5);
    }
  }
}

}  // namespace
}  // namespace ferula::test
