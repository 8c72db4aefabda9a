// Steps of ranks that do not run, against what can be said of them on paper.
#include "app/plan/step_simulation.hpp"

#include <gtest/gtest.h>

#include "app/plan/scaling.hpp"
#include "fit_plan_fixture.hpp"

namespace ferula {
namespace {

/// A second sends 10⁹ bytes to a rank of the node and, from a node, half as many to others.
constexpr ScalingMachine kMachine{.flops_per_second = 1e11,
                                  .updated_bytes_per_second = 1e10,
                                  .link_bytes_per_second = 1e9,
                                  .network_bytes_per_second = 5e8};

TEST(CollectiveSeconds, CountBytesHopsAndTheNarrowestLink) {
  ScalingMachine machine = kMachine;

  EXPECT_DOUBLE_EQ(collective_seconds(machine, {.ranks = 1, .nodes = 1}, 4, 1e9), 0.0)
      << "a group of one sends nothing";
  EXPECT_DOUBLE_EQ(collective_seconds(machine, {.ranks = 4, .nodes = 1}, 4, 1e9), 0.75);
  EXPECT_DOUBLE_EQ(collective_seconds(machine, {.ranks = 8, .nodes = 2}, 4, 1e9), 0.875 / 0.5) << "the network";
  EXPECT_DOUBLE_EQ(collective_seconds(machine, {.ranks = 2, .nodes = 2}, 4, 1e9), 0.5 / 0.125)
      << "a rank of four has a quarter of its node's network";
  machine.call_s = 1.0;
  machine.link_hop_s = 10.0;
  machine.network_hop_s = 100.0;
  EXPECT_DOUBLE_EQ(collective_seconds(machine, {.ranks = 8, .nodes = 2}, 4, 0.0), 1.0 + 6 * 10.0 + 100.0);
}

class Simulation : public FitPlan {};

TEST_F(Simulation, ARankAloneComputesAndUpdates) {
  const Config config = small_config();
  const SimulatedStep step = planner(config).simulate(0, 1, 8, kMachine);
  const TransformerSpec spec = transformer_spec(config.model, 256);

  EXPECT_NEAR(step.waiting_s, 0.0, 1e-12);
  EXPECT_NEAR(step.passes_s, training_flops_per_token(spec, 128) * 8 * 128 / 1e11, 1e-9);
  const double elements = parameter_count(parameter_table(spec, DType::f32));
  EXPECT_NEAR(step.updating_s, elements * 32 / 1e10, 0.01 * step.updating_s) << "f32: 32 bytes, with paddings";
}

TEST_F(Simulation, InTurnsAStepWaitsForAllItsTraffic) {
  Config config = small_config();
  for (const bool tied : {true, false}) {
    config.model.tied_embeddings = tied;
    const FitPlanner plans = planner(config);
    for (int stage = 0; stage <= 3; ++stage) {
      const auto bytes = static_cast<double>(plans.layout(stage, 4, 1).sent_bytes());

      EXPECT_NEAR(plans.simulate(stage, 4, 1, kMachine).waiting_s, 0.75 * bytes / 1e9, 1e-9) << "stage " << stage;
    }
  }
}

TEST_F(Simulation, BesideComputingOnlyWhatIsLeftIsWaitedFor) {
  const Config config = small_config();
  const FitPlanner plans = planner(config);
  ScalingMachine machine = kMachine;
  const double in_turns = plans.simulate(2, 4, 2, machine).waiting_s;
  machine.sending = Sending::beside_compute;
  const double beside = plans.simulate(2, 4, 2, machine).waiting_s;
  machine.link_bytes_per_second = 1e15;

  EXPECT_LT(beside, in_turns);
  EXPECT_GT(beside, 0.0) << "new values are published behind the update, which nothing hides";
  EXPECT_LT(plans.simulate(2, 4, 2, machine).waiting_s, 1e-6);
}

TEST_F(Simulation, EachStageUpdatesItsPart) {
  const Config config = small_config();
  const FitPlanner plans = planner(config);
  const double whole = plans.simulate(0, 4, 2, kMachine).updating_s;

  for (int stage = 1; stage <= 3; ++stage)
    EXPECT_NEAR(plans.simulate(stage, 4, 2, kMachine).updating_s, whole / 4, 0.02 * whole) << "stage " << stage;
}

TEST_F(Simulation, ACopyOnEachNodeKeepsGathersOffTheNetwork) {
  Config config = small_config();
  config.training.train_batch_size = 16;
  const double all = planner(config, 4).simulate(3, 16, 1, kMachine).waiting_s;
  config.zero_optimization.shard_size = "4";

  EXPECT_LT(planner(config, 4).simulate(3, 16, 1, kMachine).waiting_s, all);
}

TEST(ScalingRanks, AreAscendingNumbers) {
  EXPECT_EQ(scaling_ranks("8,64,512"), (std::vector<int>{8, 64, 512}));
  EXPECT_EQ(scaling_ranks("2"), std::vector<int>{2});
  for (const char* wrong : {"", "8,", ",8", "64,8", "8,8", "0,1", "8;9", "eight", "65537"})
    EXPECT_THROW(scaling_ranks(wrong), ConfigError) << wrong;
}

}  // namespace
}  // namespace ferula
