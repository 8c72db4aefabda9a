// What any layout saved, any other loads: every tensor of every role, bit for bit.
#include <gtest/gtest.h>

#include "support/scratch_directory.hpp"
#include "support/train/tiny_training.hpp"
#include "support/train/whole_state.hpp"

namespace ferula::test {
namespace {

using Names = std::vector<std::string>;

TinyRun laid_out(TinyRun run, int stage, MeshShape shape) {
  run.stage = stage;
  run.shape = shape;
  return run;
}

/// Every stage on one to four ranks, and the hybrids of four.
std::vector<TinyRun> all_layouts(const TinyRun& base) {
  std::vector<TinyRun> runs;
  for (int stage = 0; stage <= 3; ++stage)
    for (int ranks = 1; ranks <= 4; ++ranks) runs.push_back(laid_out(base, stage, {.replica = 1, .shard = ranks}));
  for (int stage = 1; stage <= 3; ++stage) runs.push_back(laid_out(base, stage, {.replica = 2, .shard = 2}));
  for (int stage = 0; stage <= 3; ++stage) runs.push_back(offloaded(laid_out(base, stage, {.shard = 3})));
  return runs;
}

/// One layout of each kind.
std::vector<TinyRun> some_layouts(const TinyRun& base) {
  return {laid_out(base, 0, {.shard = 1}),
          laid_out(base, 1, {.shard = 2}),
          laid_out(base, 2, {.shard = 3}),
          laid_out(base, 3, {.shard = 4}),
          laid_out(base, 3, {.replica = 2, .shard = 2}),
          offloaded(laid_out(base, 2, {.shard = 2}))};
}

struct Saved {
  std::string layout;
  std::string checkpoint;
  WholeState state;
};

/// Two steps on the layout, so that no state is still as it began, and a checkpoint of them.
void save_on(const TinyRun& run, const std::string& folder, Saved& saved) {
  saved.layout = name_of_run(run);
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    for (int step = 0; step < 2; ++step) rank.trainer.step();
    saved.state.add(rank.store.owned_pieces());
    const std::string checkpoint = save(rank, folder);
    if (rank.rank.mesh.rank() == 0) saved.checkpoint = checkpoint;
  });
  EXPECT_EQ(saved.state.incomplete(), Names{}) << saved.layout;
}

/// The tensors as the model sees them: whole, on every rank.
std::vector<OwnedPiece> acquired_values(TinyRank& rank, std::size_t unit, const UnitLease& lease) {
  std::vector<OwnedPiece> values;
  const UnitSpec& spec = rank.store.model().at(unit);
  for (std::size_t param = 0; param < spec.params.size(); ++param) {
    const TensorView whole = lease.tensor(param);
    values.push_back({.tensor = spec.params[param].name,
                      .global_shape = spec.params[param].shape,
                      .role = "value",
                      .offset = 0,
                      .data = whole.range(0, whole.count())});
  }
  return values;
}

void expect_loads(TinyRank& rank, const Saved& saved) {
  const std::vector<OwnedPiece> needed = rank.store.needed_pieces();
  for (const OwnedPiece& piece : needed)
    std::fill_n(piece.data.data, static_cast<std::size_t>(piece.data.bytes()), std::byte{0xa5});

  load(rank, saved.checkpoint);

  EXPECT_EQ(saved.state.differences(needed), Names{}) << "saved on " << saved.layout;
  EXPECT_EQ(rank.trainer.progress().step, 2);
  for (std::size_t unit = 0; unit < rank.store.model().size(); ++unit) {
    const UnitLease lease = rank.store.acquire(unit);
    EXPECT_EQ(saved.state.differences(acquired_values(rank, unit, lease)), Names{}) << "saved on " << saved.layout;
  }
}

void expect_each_loads_on_each(const std::vector<TinyRun>& runs, std::size_t tensors) {
  const ScratchDirectory scratch;
  std::vector<Saved> all(runs.size());
  for (std::size_t index = 0; index < runs.size(); ++index) {
    save_on(runs[index], scratch.path(std::to_string(index) + "/checkpoints"), all[index]);
    EXPECT_EQ(all[index].state.tensors(), tensors) << all[index].layout;
  }
  for (const TinyRun& run : runs) {
    SCOPED_TRACE("loaded on " + name_of_run(run));
    on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
      for (const Saved& saved : all) expect_loads(rank, saved);
    });
  }
}

constexpr std::size_t kGpt2Tensors = 2 + 2 + 3 * 16;  // embedding and last norm, then the blocks
constexpr std::size_t kLlamaTensors = 1 + 2 + 3 * 9;  // embedding, last norm and head, then the blocks

TEST(Resharding, EachLayoutLoadsWhatEachLayoutSavedInF32) {
  expect_each_loads_on_each(all_layouts({}), 3 * kGpt2Tensors);  // value and two moments
}

TEST(Resharding, EachLayoutLoadsWhatEachLayoutSavedInBf16) {
  expect_each_loads_on_each(all_layouts({.compute = DType::bf16}), 4 * kGpt2Tensors);  // a master too
}

TEST(Resharding, AnUntiedModelAndPersistentTensorsMakeNoDifference) {
  std::vector<TinyRun> runs = some_layouts({.family = "llama", .compute = DType::bf16});
  for (TinyRun run : some_layouts({.family = "llama", .compute = DType::bf16, .persistence_threshold = 3000}))
    runs.push_back(run);
  expect_each_loads_on_each(runs, 4 * kLlamaTensors);
}

TEST(Resharding, MomentumOfSgdIsARoleOfItsOwn) {
  const TinyRun run{.compute = DType::bf16, .rule = {.kind = OptimizerKind::sgd, .momentum = 0.9f}};
  expect_each_loads_on_each(some_layouts(run), 3 * kGpt2Tensors);  // value, master, momentum
}

TEST(Resharding, FrozenTensorsAreSavedAsValuesAlone) {
  TinyRun run{.compute = DType::bf16};
  run.model.frozen = {"embedding.*", "blocks.1.*", "*.key.weight"};
  const std::size_t frozen = 2 + 16 + 2;
  expect_each_loads_on_each(some_layouts(run), 4 * (kGpt2Tensors - frozen) + frozen);
}

}  // namespace
}  // namespace ferula::test
