// What is foreseen of a run's directory, against the pieces that its ranks save and the rule of retention.
#include "train/storage_forecast.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "support/train/tiny_run.hpp"

namespace ferula::test {
namespace {

TEST(StorageForecast, CountsTheBytesThatRanksSave) {
  const OptimizerRule adam{}, lion{.kind = OptimizerKind::lion}, plain{.kind = OptimizerKind::sgd};
  for (const OptimizerRule& rule : {adam, lion, plain})
    for (const DType compute : {DType::f32, DType::bf16}) {
      const TinyRun run{
          .compute = compute, .stage = 3, .shape = {.shard = 3}, .rule = rule, .model = {.frozen = {"blocks.0.*"}}};
      std::atomic<std::int64_t> saved = 0, foreseen = 0;
      on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
        for (const OwnedPiece& piece : rank.store.owned_pieces()) saved += piece.data.bytes();
        if (rank.rank.mesh.rank() == 0) foreseen = checkpoint_bytes(rank.store.model(), rule);
      });
      EXPECT_EQ(saved, foreseen) << name_of_run(run);
    }
}

/// Saves as a run does, and counts what lies there while the new one is written.
std::int64_t most_while_saving(const SavingPlan& plan) {
  std::vector<std::int64_t> there;
  std::int64_t most = 0;
  for (std::int64_t step = 1; step <= *plan.steps; ++step) {
    if (step != *plan.steps && (plan.every_steps == 0 || step % plan.every_steps != 0)) continue;
    there.push_back(step);
    most = std::max(most, static_cast<std::int64_t>(std::ssize(there)));
    for (const std::int64_t gone : steps_to_delete(there, plan.retention)) std::erase(there, gone);
  }
  return most;
}

TEST(StorageForecast, KnowsHowManyCheckpointsLieThereAtOnce) {
  for (const std::int64_t steps : {1, 7, 10, 12})
    for (const std::int64_t every : {0, 1, 2, 3, 20})
      for (const std::int64_t last : {0, 1, 2, 5})
        for (const std::int64_t for_ever : {0, 4}) {
          const SavingPlan plan{.steps = steps, .every_steps = every, .retention = {last, for_ever}};
          const std::int64_t most = most_while_saving(plan);
          EXPECT_GE(plan.most_at_once(), most) << steps << " " << every << " " << last << " " << for_ever;
          if (for_ever == 0) EXPECT_EQ(plan.most_at_once(), most) << steps << " " << every << " " << last;
        }
}

TEST(StorageForecast, CountsWhatIsKeptWhereOnlyTheDataKnowsTheSteps) {
  SavingPlan plan{.steps = {}, .every_steps = 5, .retention = {.keep_last = 2}};
  EXPECT_EQ(plan.most_at_once(), 3);

  plan.every_steps = 0;
  EXPECT_EQ(plan.most_at_once(), 1);
}

TEST(StorageForecast, LeavesOutWhatLiesThereAlready) {
  const StorageForecast forecast{.checkpoint = {.bytes = 100, .files = 7}, .checkpoints = 3, .log_bytes = 50};

  EXPECT_EQ(forecast.left_to_write(0).bytes, 350);
  EXPECT_EQ(forecast.left_to_write(2).bytes, 150);
  EXPECT_EQ(forecast.left_to_write(9).bytes, 150);
  EXPECT_LT(forecast.left_to_write(2).files, forecast.left_to_write(0).files);
}

}  // namespace
}  // namespace ferula::test
