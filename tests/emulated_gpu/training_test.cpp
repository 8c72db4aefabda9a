// Whole tiny runs on the processor as a GPU against the same on the processor: every stage, several ranks, both
// families, both types, state on the GPU and on the host. tests/gpu_device has the larger ones for a GPU.
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
using test::TinyRun;

std::string case_name(const testing::TestParamInfo<TinyRun>& info) {
  std::string name = test::name_of_run(info.param);
  for (char& letter : name)
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  return name;
}

std::vector<TinyRun> layouts() {
  std::vector<TinyRun> runs;
  for (const char* family : {"gpt2", "llama"})
    for (const int shard : {1, 3})
      for (int stage = 0; stage <= 3; ++stage)
        runs.push_back({.family = family,
                        .compute = stage % 2 == (shard == 1 ? 0 : 1) ? DType::f32 : DType::bf16,
                        .stage = stage,
                        .shape = {.shard = shard},
                        .accumulation = 2,
                        .steps = 3,
                        .overlap = test::Overlap::on,
                        .dropout = 0.1f,
                        .batch = 12,
                        .model = {.layers = 2, .width = 64, .ffn_width = 96}});
  for (std::size_t index = 0; index < 16; index += 3) runs.push_back(offloaded(runs[index]));
  runs.push_back({.stage = 3,
                  .shape = {.replica = 2, .shard = 2},
                  .steps = 3,
                  .batch = 12,
                  .model = {.layers = 2, .width = 64, .ffn_width = 96}});
  return runs;
}

class EmulatedTraining : public testing::TestWithParam<TinyRun> {};

TEST_P(EmulatedTraining, FollowsTheCpu) {
  const double bound = bound_of(GetParam());
  TinyRun alone = GetParam();
  alone.shape = {};
  const Curve expected = curve_of(alone, test::tiny_dataset());
  const Curve found = curve_of(on_gpu(GetParam()), test::tiny_dataset());

  EXPECT_LE(test::worst_relative(found.losses, expected.losses), bound);
  EXPECT_NEAR(found.validation_loss, expected.validation_loss, bound * expected.validation_loss);
}

INSTANTIATE_TEST_SUITE_P(All, EmulatedTraining, testing::ValuesIn(layouts()), case_name);

TEST(EmulatedTraining, GoesOnFromACheckpointOfEitherDevice) {
  const TinyRun run{
      .stage = 2, .shape = {.shard = 2}, .batch = 8, .model = {.layers = 1, .width = 64, .ffn_width = 96}};
  const double expected = loss_after_a_stop(run, run);

  EXPECT_NEAR(loss_after_a_stop(on_gpu(run), run), expected, kF32Bound * expected);
  EXPECT_NEAR(loss_after_a_stop(run, on_gpu(run)), expected, kF32Bound * expected);
}

TEST(EmulatedGeneration, GivesTheLogitsOfTheCpu) {
  for (const char* family : {"gpt2", "llama"}) {
    const TinyRun run{.family = family, .stage = 3, .shape = {.shard = 2}, .model = {.width = 64, .ffn_width = 96}};
    const std::vector<float> expected = test::logits_of(run), found = test::logits_of(on_gpu(run));

    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t index = 0; index < found.size(); ++index) EXPECT_NEAR(found[index], expected[index], 1e-3f);
  }
}

}  // namespace
}  // namespace ferula
