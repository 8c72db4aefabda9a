// Whole tiny runs on a GPU against the same on the CPU: layouts, checkpoints and generation. Ranks are threads that
// share the GPU, over staged communicators.
#include <gtest/gtest.h>

#include "on_gpu.hpp"
#include "support/train/tiny_logits.hpp"
#include "support/train/tiny_training.hpp"

namespace ferula {
namespace {

using gpu_test::bound_of;
using gpu_test::kF32Bound;
using gpu_test::on_gpu;
using test::Curve;
using test::curve_of;
using test::logits_of;
using test::loss_after_a_stop;
using test::name_of_run;
using test::tiny_dataset;
using test::TinyRun;
using test::worst_relative;

std::vector<TinyRun> layouts() {
  std::vector<TinyRun> runs;
  for (const char* family : {"gpt2", "llama"})
    for (const DType compute : {DType::f32, DType::bf16})
      for (const int shard : {1, 3})
        for (int stage = 0; stage <= 3; ++stage)
          runs.push_back({.family = family,
                          .compute = compute,
                          .stage = stage,
                          .shape = {.shard = shard},
                          .accumulation = 2,
                          .steps = 8,
                          .overlap = test::Overlap::on,
                          .dropout = 0.1f,
                          .model = {.width = 128, .ffn_width = 192}});
  runs.push_back(
      {.stage = 3, .shape = {.replica = 2, .shard = 2}, .steps = 8, .model = {.width = 128, .ffn_width = 192}});
  for (std::size_t index = 0; index < 16; ++index) runs.push_back(offloaded(runs[index]));
  return runs;
}

TEST(GpuTraining, FollowsTheCpuOnEveryLayout) {
  for (const TinyRun& run : layouts()) {
    TinyRun alone = run;
    alone.shape = {};
    const Curve expected = curve_of(alone, tiny_dataset()), found = curve_of(on_gpu(run), tiny_dataset());

    EXPECT_LE(worst_relative(found.losses, expected.losses), bound_of(run)) << name_of_run(run);
    EXPECT_NEAR(found.validation_loss, expected.validation_loss, bound_of(run) * expected.validation_loss)
        << name_of_run(run);
  }
}

TEST(GpuTraining, GivesTheSameBitsEachTime) {
  for (const DType compute : {DType::f32, DType::bf16}) {
    const TinyRun run = on_gpu({.compute = compute,
                                .stage = 2,
                                .shape = {.shard = 2},
                                .steps = 8,
                                .overlap = test::Overlap::on,
                                .dropout = 0.1f,
                                .model = {.width = 128, .ffn_width = 192}});
    const Curve once = curve_of(run, tiny_dataset()), again = curve_of(run, tiny_dataset());

    EXPECT_EQ(once.losses, again.losses) << name_of_run(run);
    EXPECT_EQ(once.norms, again.norms) << name_of_run(run);
  }
}

TEST(GpuTraining, GoesOnFromACheckpointOfEitherDevice) {
  const TinyRun run{.stage = 2, .shape = {.shard = 2}, .model = {.width = 128, .ffn_width = 2048}};
  const double expected = loss_after_a_stop(run, run);

  EXPECT_NEAR(loss_after_a_stop(on_gpu(run), on_gpu(run)), expected, kF32Bound * expected);
  EXPECT_NEAR(loss_after_a_stop(on_gpu(run), run), expected, kF32Bound * expected);
  EXPECT_NEAR(loss_after_a_stop(run, on_gpu(run)), expected, kF32Bound * expected);
  EXPECT_NEAR(loss_after_a_stop(on_gpu(offloaded(run)), on_gpu(run)), expected, kF32Bound * expected);
  EXPECT_NEAR(loss_after_a_stop(run, on_gpu(offloaded(run))), expected, kF32Bound * expected);
}

TEST(GpuGeneration, GivesTheLogitsOfTheCpu) {
  for (const char* family : {"gpt2", "llama"}) {
    const TinyRun run{.family = family, .stage = 3, .shape = {.shard = 2}, .model = {.width = 128, .ffn_width = 192}};
    const std::vector<float> expected = logits_of(run), found = logits_of(on_gpu(run));

    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t index = 0; index < found.size(); ++index)
      EXPECT_NEAR(found[index], expected[index], 1e-3f) << name_of_run(run) << ", " << index;
  }
}

}  // namespace
}  // namespace ferula
