// What is foreseen of a job, on its ranks and on none, against what its ranks count.
#include "train/traffic_forecast.hpp"

#include <gtest/gtest.h>

#include "comm/planned_transport.hpp"
#include "support/train/tiny_run.hpp"

namespace ferula::test {
namespace {

constexpr std::int64_t kSingleNumbers = 64;  // elements of losses and norms, which a forecast leaves out

std::vector<TinyRun> layouts() {
  std::vector<TinyRun> runs;
  for (const bool tied : {true, false})
    for (int stage = 0; stage <= 3; ++stage)
      for (const MeshShape shape : {MeshShape{.shard = 3}, MeshShape{.replica = 2, .shard = 2}})
        for (const GradientReduction reduction : {GradientReduction::each_micro_batch, GradientReduction::once_a_step})
          if (stage >= 2 || reduction == GradientReduction::each_micro_batch)
            runs.push_back({.compute = DType::bf16,
                            .stage = stage,
                            .shape = shape,
                            .accumulation = 2,
                            .reduction = reduction,
                            .persistence_threshold = 200,
                            .batch = 24,
                            .model = {.layers = 4, .width = 64, .ffn_width = 256, .tied = tied}});
  return runs;
}

TrainingShape shape_of(const TinyRank& rank, const TinyRun& run) {
  return {.model = rank.store.model(),
          .store = settings_of(run),
          .spec = rank.spec,
          .transformer = rank.transformer.settings(),
          .batch = rank.loader.shape(),
          .sequence_length = tiny_dataset().sequence_length()};
}

TEST(TrafficForecast, IsWhatAStepCountsAndNeedsNoRanks) {
  for (const TinyRun& run : layouts()) {
    on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
      Mesh& mesh = rank.rank.mesh;
      const TrainingShape shape = shape_of(rank, run);
      const TrafficCounts foreseen = forecast_traffic(shape, mesh);
      rank.trainer.step();
      const TrafficCounts before = mesh.traffic().counts();
      rank.trainer.step();
      TrafficCounts counted{};
      add_difference(counted, before, mesh.traffic().counts());
      for (std::size_t each = 0; each < kCollectives; ++each) {
        EXPECT_NEAR(counted[each].elements, foreseen[each].elements, kSingleNumbers) << name_of_run(run);
        EXPECT_NEAR(counted[each].bytes, foreseen[each].bytes, 8 * kSingleNumbers) << name_of_run(run);
      }
      if (mesh.rank() != 0) return;

      MemoryLedger ledger;
      const std::unique_ptr<Device> device = make_cpu_device(ledger);
      Mesh planned(make_planned_transport({.ranks = run.shape.ranks()}), run.shape, *device);

      EXPECT_EQ(sum_of(forecast_memory(shape, planned, *rank.rank.ops)) - planned.transit_bytes(),
                sum_of(forecast_memory(shape, mesh, *rank.rank.ops)) - mesh.transit_bytes())
          << name_of_run(run);
      const TrafficCounts there = forecast_traffic(shape, planned);
      for (std::size_t each = 0; each < kCollectives; ++each) EXPECT_EQ(there[each].bytes, foreseen[each].bytes);
    });
  }
}

TEST(PlannedJob, CountsTheMemoryOfWindowsWithinANodeAndOfMpiBetweenNodes) {
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);
  const auto transit = [&](int ranks_on_node) {
    return Mesh(make_planned_transport({.ranks = 4, .ranks_on_node = ranks_on_node}), {.shard = 4}, *device)
        .transit_bytes();
  };

  EXPECT_GT(transit(4), 0);
  EXPECT_GT(transit(2), 0);
  EXPECT_NE(transit(4), transit(2));
  EXPECT_EQ(Mesh(make_planned_transport({}), {}, *device).transit_bytes(), 0);
}

TEST(PlannedJob, GathersOfAHostsProcessorsMoveNothing) {
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);
  const TinyRun run{.stage = 3, .shape = {.shard = 2}};
  on_tiny_ranks({.shape = {.shard = 1}}, tiny_dataset(), [&](TinyRank& rank) {
    TrainingShape shape = shape_of(rank, run);
    shape.store.stage = 3;
    const auto gathered_and_unmoved = [&](const PlannedJob& job) {
      Mesh planned(make_planned_transport(job), run.shape, *device);
      const TrafficCounts counts = forecast_traffic(shape, planned);
      return std::pair(counts.at(static_cast<std::size_t>(Collective::all_gather)).bytes,
                       forecast_unmoved_bytes(shape, planned));
    };

    const auto [gathered, unmoved] = gathered_and_unmoved({.ranks = 2, .ranks_on_node = 2});
    EXPECT_GT(gathered, 0);
    EXPECT_EQ(unmoved, gathered) << "none is persistent";
    EXPECT_EQ(gathered_and_unmoved({.ranks = 2, .ranks_on_node = 1}), std::pair(gathered, std::int64_t{0}));
    const PlannedJob cards{.ranks = 2, .ranks_on_node = 2, .computes = DeviceKind::cuda};
    EXPECT_EQ(gathered_and_unmoved(cards), std::pair(gathered, std::int64_t{0}));
  });
}

TEST(PlannedJob, ExchangesNothing) {
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);
  const std::unique_ptr<Stream> stream = device->make_stream();
  Mesh planned(make_planned_transport({.ranks = 2, .ranks_on_node = 2}), {.shard = 2}, *device);

  EXPECT_THROW(agree_sum(planned.world(), *stream, 1.0), Error);
}

}  // namespace
}  // namespace ferula::test
