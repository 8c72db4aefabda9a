// Training, checkpoints and resumes over a device whose memory the host cannot touch, against the CPU, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/far_device.hpp"
#include "support/far_ops.hpp"
#include "support/train/tiny_training.hpp"
#include "support/train/whole_state.hpp"

namespace ferula {
namespace {

using test::Curve;
using test::name_of_run;
using test::TinyRank;
using test::TinyRun;

const TokenDataset& dataset() {
  static const test::TinyCorpus corpus(16);
  return corpus.dataset();
}

TinyRun far(TinyRun run) {
  run.make_ops = test::make_far_ops;
  run.make_device = test::make_far_device;
  run.staged_bytes = 4096;
  return run;
}

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
    const Curve expected = curve_of(run, dataset()), found = curve_of(far(run), dataset());

    EXPECT_EQ(found.losses, expected.losses) << name_of_run(run);
    EXPECT_EQ(found.norms, expected.norms) << name_of_run(run);
    EXPECT_EQ(found.validation_loss, expected.validation_loss) << name_of_run(run);
  }
}

/// Three steps, a checkpoint, and two steps more: by `before` and `behind`, which may be other devices and layouts.
double loss_after_a_stop(const TinyRun& before, const TinyRun& behind) {
  const ScratchDirectory scratch;
  double loss = 0.0;
  on_tiny_ranks(before, dataset(), [&](TinyRank& rank) {
    for (int step = 0; step < 3; ++step) rank.trainer.step();
    test::save(rank, scratch.path("checkpoints"));
  });
  on_tiny_ranks(behind, dataset(), [&](TinyRank& rank) {
    test::load(rank, scratch.path("checkpoints"));
    rank.trainer.step();
    const double last = rank.trainer.step().loss;
    if (rank.rank.mesh.rank() == 0) loss = last;
  });
  return loss;
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
