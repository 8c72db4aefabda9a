// Every layout gives the one-rank answer: stages and hybrids × ranks × accumulation, in f32 and bf16. docs/numerics.md
// derives the bounds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/train/tiny_run.hpp"

namespace ferula::test {
namespace {

/// The stated bound of f32, and of the first step in any type.
constexpr double kBound = 1e-5;
/// In the first step all layouts have the same weights and give each row the same bits: only sums over rows differ.
constexpr double kFirstStep = 2e-6;

struct MatrixCase {
  std::string family;
  DType compute;
};

std::string name_of_case(const testing::TestParamInfo<MatrixCase>& info) {
  return fmt::format("{}_{}", info.param.family, name_of(info.param.compute));
}

/// Every stage × one to four ranks and the hybrid of four × accumulation 1, 2, 4.
std::vector<TinyRun> layouts_of(const MatrixCase& wanted) {
  std::vector<MeshShape> shapes{{.replica = 2, .shard = 2}};
  for (int ranks = 1; ranks <= 4; ++ranks) shapes.push_back({.replica = 1, .shard = ranks});
  std::vector<TinyRun> runs;
  for (int stage = 0; stage <= 3; ++stage)
    for (const MeshShape& shape : shapes)
      for (const std::int64_t accumulation : {1, 2, 4})
        runs.push_back({.family = wanted.family,
                        .compute = wanted.compute,
                        .stage = stage,
                        .shape = shape,
                        .accumulation = accumulation});
  return runs;
}

/// Moves one weight by the smallest step of its type, on every rank that holds it.
void change_last_bit(TinyRank& rank, std::size_t which) {
  const std::vector<OwnedPiece> pieces = rank.store.needed_pieces();
  for (const OwnedPiece& piece : pieces) {
    if (piece.role != "value" || piece.tensor != "blocks.1.attention.output.weight") continue;
    if (piece.data.dtype == DType::f32) {
      float& value = piece.data.span<float>()[which];
      value = std::nextafter(value, 1.0f);
    } else {
      ++piece.data.span<bf16>()[which].bits;
    }
  }
  rank.store.adopt_loaded_state(false);
}

/// How far one changed last bit drives a run on one rank: the largest of three.
Curve drift_of_one_bit(const TinyRun& run, const Curve& unchanged) {
  Curve drift{{0.0}, {0.0}};
  for (const std::size_t which : {3u, 200u, 777u}) {
    const Curve changed = curve_of(run, tiny_dataset(), [&](TinyRank& rank) { change_last_bit(rank, which); });
    drift.losses[0] = std::max(drift.losses[0], worst_relative(changed.losses, unchanged.losses));
    drift.norms[0] = std::max(drift.norms[0], worst_relative(changed.norms, unchanged.norms));
  }
  return drift;
}

class Layouts : public testing::TestWithParam<MatrixCase> {};
INSTANTIATE_TEST_SUITE_P(Matrix, Layouts,
                         testing::Values(MatrixCase{"gpt2", DType::f32}, MatrixCase{"gpt2", DType::bf16},
                                         MatrixCase{"llama", DType::f32}, MatrixCase{"llama", DType::bf16}),
                         name_of_case);

TEST_P(Layouts, FollowOneRankForFiftySteps) {
  const TinyRun one{.family = GetParam().family, .compute = GetParam().compute};
  const Curve expected = curve_of(one, tiny_dataset());
  const Curve drift = drift_of_one_bit(one, expected);
  const double loss_bound = std::max(kBound, 10 * drift.losses[0]);
  const double norm_bound = std::max(kBound, 10 * drift.norms[0]);

  for (const TinyRun& run : layouts_of(GetParam())) {
    const Curve curve = curve_of(run, tiny_dataset());

    EXPECT_LE(std::abs(curve.losses[0] / expected.losses[0] - 1), kFirstStep) << name_of_run(run);
    EXPECT_LE(std::abs(curve.norms[0] / expected.norms[0] - 1), kFirstStep) << name_of_run(run);
    EXPECT_LE(worst_relative(curve.losses, expected.losses), loss_bound) << name_of_run(run);
    EXPECT_LE(worst_relative(curve.norms, expected.norms), norm_bound) << name_of_run(run);
    EXPECT_LE(std::abs(curve.validation_loss / expected.validation_loss - 1), loss_bound) << name_of_run(run);
  }
  EXPECT_LT(expected.losses.back(), 0.5 * expected.losses.front());
}

/// Of the first step.
double norm_with_planted_error(const TinyRun& run, float factor) {
  double norm = 0.0;
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    const double found = norm_with_planted_error(rank, {.step = 1, .samples_seen = 0}, factor);
    if (rank.rank.mesh.rank() == 0) norm = found;
  });
  return norm;
}

TEST(LayoutBounds, APlantedErrorOfOnePercentInOneGradientBreaksThem) {
  for (const DType compute : {DType::f32, DType::bf16}) {
    const double expected = curve_of({.compute = compute, .steps = 1}, tiny_dataset()).norms[0];
    const TinyRun two_ranks{.compute = compute, .shape = {.replica = 1, .shard = 2}};

    EXPECT_LE(std::abs(norm_with_planted_error(two_ranks, 1.0f) / expected - 1), kFirstStep) << name_of(compute);
    EXPECT_GT(std::abs(norm_with_planted_error(two_ranks, 1.01f) / expected - 1), 100 * kFirstStep) << name_of(compute);
  }
}

TEST(Layouts, OverlapPrefetchAndPersistenceChangeNoBit) {
  for (const int stage : {2, 3}) {
    for (const std::int64_t accumulation : {1, 2}) {
      TinyRun run{.stage = stage, .shape = {.replica = 1, .shard = 3}, .accumulation = accumulation, .steps = 10};
      const Curve expected = curve_of(run, tiny_dataset());
      for (const std::int64_t threshold : {0, 3000}) {
        for (const std::int64_t prefetch : {0, 50'000'000}) {
          run.overlap = Overlap::on;
          run.persistence_threshold = threshold;
          run.prefetch_elements = prefetch;
          const Curve curve = curve_of(run, tiny_dataset());

          // The norm adds squares range by range, and persistence makes other ranges.
          if (threshold == 0) EXPECT_EQ(curve.norms, expected.norms) << name_of_run(run);
          EXPECT_LE(worst_relative(curve.losses, expected.losses), threshold == 0 ? 0.0 : kBound) << name_of_run(run);
        }
      }
    }
  }
}

/// Stages that cut something, on a group and as a hybrid, overlapped where the stage gains by it.
std::vector<TinyRun> cut_layouts(DType compute) {
  std::vector<TinyRun> runs;
  for (int stage = 1; stage <= 3; ++stage)
    for (const MeshShape& shape : {MeshShape{.replica = 1, .shard = 3}, MeshShape{.replica = 2, .shard = 2}})
      runs.push_back({.compute = compute,
                      .stage = stage,
                      .shape = shape,
                      .accumulation = 2,
                      .steps = 5,
                      .overlap = stage >= 2 ? Overlap::on : Overlap::off});
  return runs;
}

TEST(Layouts, ValuesInCommonMemoryChangeNoBit) {
  for (const DType compute : {DType::f32, DType::bf16}) {
    for (TinyRun run : cut_layouts(compute)) {
      const Curve expected = curve_of(run, tiny_dataset());
      run.common = CommonMemory::of_groups;
      for (const TinyRun& common : {run, offloaded(run)}) {
        const Curve curve = curve_of(common, tiny_dataset());

        EXPECT_EQ(curve.losses, expected.losses) << name_of_run(common);
        EXPECT_EQ(curve.norms, expected.norms) << name_of_run(common);
        EXPECT_EQ(curve.validation_loss, expected.validation_loss) << name_of_run(common);
      }
    }
  }
}

TEST(Layouts, StagedGroupsChangeNoBit) {
  for (const DType compute : {DType::f32, DType::bf16}) {
    for (int stage = 0; stage <= 3; ++stage) {
      for (const MeshShape& shape : {MeshShape{.replica = 1, .shard = 3}, MeshShape{.replica = 2, .shard = 2}}) {
        TinyRun run{.compute = compute, .stage = stage, .shape = shape, .accumulation = 2, .steps = 5};
        run.overlap = stage >= 2 ? Overlap::on : Overlap::off;
        const Curve expected = curve_of(run, tiny_dataset());
        run.staged_bytes = 5000;  // no unit fits: each passes in pieces
        const Curve curve = curve_of(run, tiny_dataset());

        EXPECT_EQ(curve.losses, expected.losses) << name_of_run(run);
        EXPECT_EQ(curve.norms, expected.norms) << name_of_run(run);
        EXPECT_EQ(curve.validation_loss, expected.validation_loss) << name_of_run(run);
      }
    }
  }
}

TEST(Layouts, GradientsReducedOnceAStepFollowOneRank) {
  const Curve expected = curve_of({.steps = 10}, tiny_dataset());
  for (const int stage : {2, 3}) {
    for (const MeshShape shape : {MeshShape{.replica = 1, .shard = 3}, MeshShape{.replica = 2, .shard = 2}}) {
      for (const Overlap overlap : {Overlap::off, Overlap::on}) {
        const TinyRun run{.stage = stage,
                          .shape = shape,
                          .accumulation = 2,
                          .steps = 10,
                          .overlap = overlap,
                          .reduction = GradientReduction::once_a_step};
        const Curve curve = curve_of(run, tiny_dataset());
        EXPECT_LE(worst_relative(curve.losses, expected.losses), kBound) << name_of_run(run);
        EXPECT_LE(worst_relative(curve.norms, expected.norms), kBound) << name_of_run(run);
      }
    }
  }
}

TEST(Layouts, DropoutIsKeyedBySampleAndNotByRank) {
  const TinyRun one{.steps = 10, .dropout = 0.2f};
  const Curve expected = curve_of(one, tiny_dataset());
  const Curve without = curve_of({.steps = 10}, tiny_dataset());
  EXPECT_GT(worst_relative(expected.losses, without.losses), 1e-3);

  for (const std::int64_t accumulation : {1, 4}) {
    const TinyRun run{
        .stage = 3, .shape = {.replica = 1, .shard = 4}, .accumulation = accumulation, .steps = 10, .dropout = 0.2f};
    EXPECT_LE(worst_relative(curve_of(run, tiny_dataset()).losses, expected.losses), kBound) << name_of_run(run);
  }
}

TEST(Layouts, EveryOptimizerFollowsOneRank) {
  const std::vector<OptimizerRule> rules{{.kind = OptimizerKind::sgd, .momentum = 0.9, .nesterov = true},
                                         {.kind = OptimizerKind::sgd},
                                         {.kind = OptimizerKind::lion, .beta2 = 0.99},
                                         {.kind = OptimizerKind::adam, .decoupled_decay = false}};
  for (const OptimizerRule& rule : rules) {
    const Curve expected = curve_of({.steps = 10, .rule = rule}, tiny_dataset());
    for (int stage = 0; stage <= 3; ++stage) {
      const TinyRun run{.stage = stage, .shape = {.replica = 1, .shard = 3}, .steps = 10, .rule = rule};
      EXPECT_LE(worst_relative(curve_of(run, tiny_dataset()).losses, expected.losses), kBound) << name_of_run(run);
    }
  }
}

TEST(Layouts, NothingAllocatesFromTheThirdStepOn) {
  for (int stage = 0; stage <= 3; ++stage) {
    const TinyRun run{.compute = DType::bf16, .stage = stage, .shape = {.replica = 1, .shard = 2}, .accumulation = 2};
    on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
      for (int step = 1; step <= 2; ++step) rank.trainer.step();
      const std::int64_t before = rank.rank.ledger.allocations();
      for (int step = 3; step <= 10; ++step) rank.trainer.step();
      EXPECT_EQ(rank.rank.ledger.allocations(), before) << name_of_run(run);

      const Buffer planted = rank.rank.device->allocate(64, MemoryKind::buffers);
      EXPECT_NE(rank.rank.ledger.allocations(), before) << "a planted allocation must be seen";
    });
  }
}

}  // namespace
}  // namespace ferula::test
