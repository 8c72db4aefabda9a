// Training, checkpoints and resumes over a device whose memory the host cannot touch, against the CPU, bit for bit.
#include <gtest/gtest.h>

#include "support/train/far_run.hpp"
#include "support/train/tiny_training.hpp"

namespace ferula {
namespace {

using test::Curve;
using test::far;
using test::loss_after_a_stop;
using test::name_of_run;
using test::tiny_dataset;
using test::TinyRun;

std::vector<TinyRun> layouts() {
  std::vector<TinyRun> runs;
  for (const DType compute : {DType::f32, DType::bf16})
    for (const int shard : {1, 3})
      for (int stage = 0; stage <= 3; ++stage)
        runs.push_back({.compute = compute,
                        .stage = stage,
                        .shape = {.shard = shard},
                        .accumulation = 2,
                        .steps = 3,
                        .overlap = test::Overlap::on,
                        .dropout = 0.1f});
  runs.push_back({.family = "llama", .stage = 3, .shape = {.replica = 2, .shard = 2}, .steps = 3});
  return runs;
}

TEST(FarMemoryDeathTest, IsOutOfTheHostsReach) {
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = test::make_far_device(ledger);
  const Buffer memory = device->allocate(64, MemoryKind::buffers);

  EXPECT_DEATH(std::fputs(memory.data()[0] == std::byte{0} ? "read" : "not zeroed", stderr), "");
}

TEST(FarMemory, TrainsToTheSameBits) {
  for (const TinyRun& run : layouts()) {
    const Curve expected = curve_of(run, tiny_dataset()), found = curve_of(far(run), tiny_dataset());

    EXPECT_EQ(found.losses, expected.losses) << name_of_run(run);
    EXPECT_EQ(found.norms, expected.norms) << name_of_run(run);
    EXPECT_EQ(found.validation_loss, expected.validation_loss) << name_of_run(run);
  }
}

TEST(FarMemory, SavesAndResumesToTheSameBits) {
  // More bytes a tensor than the staging memory of a checkpoint has (1 MiB): it goes through in pieces.
  const test::TinyModel wide{.layers = 1, .width = 64, .ffn_width = 5000, .vocabulary = 256};
  const TinyRun small{.compute = DType::bf16, .stage = 2, .shape = {.shard = 2}, .accumulation = 2};
  const TinyRun large{.stage = 1, .shape = {.shard = 1}, .model = wide};
  for (const TinyRun& run : {small, large}) {
    const double expected = loss_after_a_stop(run, run);

    EXPECT_EQ(loss_after_a_stop(far(run), far(run)), expected) << name_of_run(run);
    EXPECT_EQ(loss_after_a_stop(far(run), run), expected) << name_of_run(run);
    EXPECT_EQ(loss_after_a_stop(run, far(run)), expected) << name_of_run(run);
  }
}

}  // namespace
}  // namespace ferula
