// Plans of layouts that do not run, and the cards they are planned for.
#include "app/plan/fit_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/plan/gpu_cards.hpp"
#include "app/plan/offload_plan.hpp"
#include "fit_plan_fixture.hpp"

namespace ferula {
namespace {

using testing::ContainsRegex;
using testing::ElementsAre;

std::int64_t state_of(const PlannedLayout& layout) {
  const auto of = [&](MemoryKind kind) { return layout.memory.at(static_cast<std::size_t>(kind)); };
  return of(MemoryKind::parameters) + of(MemoryKind::gradients) + of(MemoryKind::optimizer);
}

TEST_F(FitPlan, DividesTheStateByTheRanksOfTheStage) {
  const Config config = small_config();
  const FitPlanner plans = planner(config);
  const auto whole = static_cast<double>(state_of(plans.layout(0, 4, 8)));

  // f32: values 4, gradients 4, moments 8 bytes a parameter
  EXPECT_NEAR(static_cast<double>(state_of(plans.layout(1, 4, 8))) / whole, (4.0 + 4.0 + 8.0 / 4) / 16.0, 0.01);
  EXPECT_NEAR(static_cast<double>(state_of(plans.layout(2, 4, 8))) / whole, (4.0 + 4.0 / 4 + 8.0 / 4) / 16.0, 0.01);
  EXPECT_NEAR(static_cast<double>(state_of(plans.layout(3, 4, 8))) / whole, 1.0 / 4, 0.02);
  EXPECT_EQ(plans.layout(0, 1, 8).sent_bytes(), 0);
  EXPECT_GT(plans.layout(3, 4, 8).sent_bytes(), plans.layout(0, 4, 8).sent_bytes());
}

TEST_F(FitPlan, KeepsAShardSizeWhereItDividesTheRanks) {
  Config config = small_config();
  config.zero_optimization.shard_size = "2";
  const FitPlanner plans = planner(config);

  EXPECT_EQ(state_of(plans.layout(3, 4, 8)), state_of(plans.layout(3, 2, 8))) << "pairs share";
  EXPECT_LT(state_of(plans.layout(3, 5, 8)), state_of(plans.layout(3, 2, 8))) << "five cannot be paired: all share";
}

TEST_F(FitPlan, OffloadedStateIsOnTheHostAndSoFewerRanksHoldTheRest) {
  Config config = small_config();
  config.zero_optimization.stage = 1;
  const Config offloaded = with_offloaded_optimizer(config);
  const FitPlanner plans = planner(config), with_host = planner(offloaded);
  const PlannedLayout without = plans.layout(1, 4, 8), with = with_host.layout(1, 4, 8);
  const auto optimizer = static_cast<std::size_t>(MemoryKind::optimizer);
  const std::int64_t room = with_host.layout(3, 4, 8).bytes();

  const auto alone = fewest_of_stages(plans, 8, room, 64), helped = fewest_of_stages(with_host, 8, room, 64);

  EXPECT_EQ(with.host_bytes, without.memory[optimizer]);
  EXPECT_EQ(with.host_bytes, offloadable_bytes(config, transformer_spec(config.model, 256), 4));
  EXPECT_EQ(with.memory[optimizer], 0);
  EXPECT_EQ(without.host_bytes, 0);
  ASSERT_TRUE(alone && helped);
  EXPECT_LT(helped->ranks, alone->ranks);
  EXPECT_THAT(offload_line(alone, helped, 2),
              ContainsRegex("offload_optimizer.device=cpu: 4 at stage 3 .* of the memory of a node with 2 ranks\n"));
  EXPECT_EQ(offload_line(helped, helped, 2), "") << "nothing is won";
}

TEST_F(FitPlan, FindsTheFewestRanksThatFit) {
  const Config config = small_config();
  const FitPlanner plans = planner(config, 6);
  const std::int64_t room = plans.layout(3, 6, 8).bytes();

  const auto found = plans.fewest_ranks(3, 8, room, 64);

  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->ranks, 6) << "a whole node counts beside the powers of two";
  EXPECT_FALSE(plans.fewest_ranks(0, 8, room, 64).has_value()) << "at stage 0 more ranks do not help";
}

TEST_F(FitPlan, FindsTheNearestLayoutThatFits) {
  const Config config = small_config();
  const FitPlanner plans = planner(config);

  const auto higher_stage = plans.nearest_fit(4, plans.layout(2, 4, 8).bytes());
  const auto smaller_batch = plans.nearest_fit(4, plans.layout(3, 4, 2).bytes());

  ASSERT_TRUE(higher_stage && smaller_batch);
  EXPECT_LE(higher_stage->bytes(), plans.layout(2, 4, 8).bytes());
  EXPECT_EQ(higher_stage->micro_batch, 8);
  EXPECT_EQ(smaller_batch->stage, 3);
  EXPECT_EQ(smaller_batch->micro_batch, 2);
  EXPECT_FALSE(plans.nearest_fit(4, 1 << 20).has_value());
}

TEST_F(FitPlan, OnTheHostOffloadedStateTakesRoomAsWell) {
  Config config = with_offloaded_optimizer(small_config());
  config.run.device = "cpu";
  const FitPlanner plans = planner(config);
  const PlannedLayout own = plans.layout(3, 4, 8);
  ASSERT_GT(own.host_bytes, 0);

  EXPECT_FALSE(plans.nearest_fit(4, plans.layout(3, 4, 1).bytes()).has_value()) << "the state lies in the same memory";
  EXPECT_TRUE(plans.nearest_fit(4, own.bytes_on_host()).has_value());
  config.run.device = "cuda";
  EXPECT_TRUE(plans.nearest_fit(4, own.bytes()).has_value());
}

TEST_F(FitPlan, AccumulatesUntilTheBatchIsComplete) {
  const Config config = small_config();
  const FitPlanner plans = planner(config);

  EXPECT_EQ(plans.layout(0, 1, 2).accumulation, 4);
  EXPECT_EQ(plans.layout(0, 1, 2).samples(), 8);
  EXPECT_EQ(plans.layout(0, 3, 2).samples(), 12) << "three ranks cannot share eight samples";
  EXPECT_TRUE(plans.is_legal(2, 4));
  EXPECT_FALSE(plans.is_legal(3, 2));
  EXPECT_FALSE(plans.is_legal(2, 8));
}

TEST_F(FitPlan, InferenceDividesValuesAndKeepsTheCache) {
  Config config = small_config();
  config.model.context = 128;
  config.model.width = 512;  // large beside what passes between ranks
  const FitPlanner plans = planner(config);
  const auto values = [](const PlannedInference& each) {
    return static_cast<double>(each.memory.loaded.at(static_cast<std::size_t>(MemoryKind::parameters)));
  };
  const PlannedInference alone = plans.inference(3, 1), whole = plans.inference(0, 4), divided = plans.inference(3, 4);
  const std::int64_t cache = 2 * 4 * 128 * 512 * 4;  // keys and values of 4 layers, 128 tokens of 512 f32

  EXPECT_EQ(values(alone), values(whole));
  EXPECT_NEAR(values(divided) / values(whole), 0.25, 0.01);
  EXPECT_GT(sum_of(divided.memory.generating) - sum_of(divided.memory.loaded), cache / 2);
  const std::int64_t room = sum_of(divided.memory.generating);
  EXPECT_EQ(plans.fewest_for_inference(&InferenceMemory::generating, room, 64).value().ranks, 4);
  EXPECT_FALSE(plans.fewest_for_inference(&InferenceMemory::generating, cache, 64).has_value());
}

TEST(GpuCards, AreFoundByAPartOfTheirNameOrByMemory) {
  const auto names = [](const std::vector<std::string>& words) {
    std::vector<std::string> found;
    for (const GpuCardType& card : cards_named(words)) found.emplace_back(card.name);
    return found;
  };

  EXPECT_THAT(names({"a5000"}), ElementsAre("RTX A5000"));
  EXPECT_THAT(names({"a100"}), ElementsAre("A100 40 GB", "A100 80 GB"));
  EXPECT_THAT(names({"H200", "ada"}), ElementsAre("H200 SXM", "RTX 6000 Ada"));
  EXPECT_EQ(names({}).size(), known_cards().size());
  EXPECT_DOUBLE_EQ(cards_named({"24"}).front().memory_gib, 24.0);
  for (const std::string word : {"", "b9000", "-3", "nan", "1e9"})
    EXPECT_THROW(cards_named({word}), ConfigError) << word;
}

}  // namespace
}  // namespace ferula
