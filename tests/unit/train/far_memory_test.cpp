// Training, checkpoints and resumes over a device whose memory the host cannot touch, against the CPU, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/train/far_run.hpp"
#include "support/train/tiny_training.hpp"
#include "support/train/whole_state.hpp"

namespace ferula {
namespace {

using test::Curve;
using test::far;
using test::loss_after_a_stop;
using test::name_of_run;
using test::offloaded;
using test::tiny_dataset;
using test::TinyRank;
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
  runs.push_back({.compute = DType::bf16,
                  .stage = 2,
                  .shape = {.shard = 2},
                  .accumulation = 2,
                  .steps = 3,
                  .reduction = GradientReduction::once_a_step,
                  .model = {.frozen = {"*norm*", "embedding.*"}}});
  return runs;
}

TEST(FarMemoryDeathTest, IsOutOfTheHostsReach) {
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = test::make_far_device(ledger);
  const Buffer memory = device->allocate(64, MemoryKind::buffers);

  EXPECT_DEATH(std::fputs(memory.data()[0] == std::byte{0} ? "read" : "not zeroed", stderr), "");
}

void expect_same(const Curve& found, const Curve& expected, const TinyRun& run) {
  EXPECT_EQ(found.losses, expected.losses) << name_of_run(run);
  EXPECT_EQ(found.norms, expected.norms) << name_of_run(run);
  EXPECT_EQ(found.validation_loss, expected.validation_loss) << name_of_run(run);
}

TEST(FarMemory, TrainsToTheSameBits) {
  for (const TinyRun& run : layouts()) {
    const Curve expected = curve_of(run, tiny_dataset());
    for (const TinyRun& other : {far(run), offloaded(run), offloaded(far(run))})
      expect_same(curve_of(other, tiny_dataset()), expected, other);
  }
}

/// Of a rank's optimizer state on the host: the host reaches it, although the device is far.
TEST(FarMemory, AnErrorInOffloadedStateIsSeen) {
  const TinyRun run = offloaded(far({.compute = DType::bf16, .stage = 2, .shape = {.shard = 2}, .steps = 3}));
  for (const std::string role : {"master", "exp_avg", "exp_avg_sq"}) {
    const Curve found = curve_of(run, tiny_dataset(), [&](TinyRank& rank) {
      const std::vector<OwnedPiece> pieces = rank.store.owned_pieces();
      const auto last = std::find_if(pieces.rbegin(), pieces.rend(), [&](const auto& p) { return p.role == role; });
      ASSERT_NE(last, pieces.rend());
      for (float& value : last->data.span<float>()) value += 0.01f;
    });

    EXPECT_NE(found.losses, curve_of(run, tiny_dataset()).losses) << role;
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
    EXPECT_EQ(loss_after_a_stop(offloaded(far(run)), run), expected) << name_of_run(run);
    EXPECT_EQ(loss_after_a_stop(run, offloaded(far(run))), expected) << name_of_run(run);
    EXPECT_EQ(loss_after_a_stop(offloaded(run), offloaded(run)), expected) << name_of_run(run);
  }
}

/// As from weights of another program, of which there is no optimizer state.
TEST(Offload, MakesMastersOfValuesAlone) {
  const TinyRun run{.compute = DType::bf16, .stage = 2, .shape = {.shard = 2}, .steps = 3};
  test::WholeState trained;
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    rank.trainer.step();
    trained.add(rank.store.owned_pieces());
  });
  const auto take_values = [&](TinyRank& rank) {
    std::vector<OwnedPiece> values = rank.store.needed_pieces();
    std::erase_if(values, [](const OwnedPiece& piece) { return piece.role != "value"; });
    trained.fill(values);
    rank.store.adopt_loaded_state(false);
  };

  expect_same(curve_of(offloaded(run), tiny_dataset(), take_values), curve_of(run, tiny_dataset(), take_values), run);
}

}  // namespace
}  // namespace ferula
