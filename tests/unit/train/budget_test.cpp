// What a whole trainer holds and sends, against the stated formulas: state by kind, the counted peak, and elements on
// the wire. The models are large enough that paddings and scalars vanish within the stated 1 %.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "support/scratch_directory.hpp"
#include "support/train/tiny_training.hpp"
#include "train/memory_forecast.hpp"

namespace ferula {
namespace {

using test::name_of_run;
using test::tiny_dataset;
using test::TinyModel;
using test::TinyRank;
using test::TinyRun;

enum class Head : unsigned char { tied, own };

/// Four blocks of 198 thousand parameters; the embedding is 4 % of the model.
TinyModel medium_model(Head head = Head::tied) {
  return {.layers = 4, .width = 128, .ffn_width = 512, .tied = head == Head::tied};
}

/// Blocks of 789 thousand parameters, so that a unit outweighs every small buffer, and a larger embedding.
TinyModel large_model(Head head) {
  return {.layers = 3, .width = 256, .ffn_width = 1024, .vocabulary = 4096, .tied = head == Head::tied};
}

std::int64_t parameters_of(const TinyRank& rank) { return parameter_count(rank.store.model()); }

// --- state by kind --------------------------------------------------------------------------------------------------

/// Ranks among which each kind of state is divided, from the stage's definition.
struct Divisors {
  int value = 1;
  int gradient = 1;
  int optimizer = 1;
};

Divisors divisors_of(const TinyRun& run) {
  const int shard = run.shape.shard;
  return {.value = run.stage >= 3 ? shard : 1,
          .gradient = run.stage >= 2 ? shard : 1,
          .optimizer = run.stage >= 1 ? shard : 1};
}

/// Bytes a parameter: bf16 2 + 4 + (4 + 8), f32 4 + 4 + 8 as the value is its own master.
struct StateBytes {
  double values = 0.0;
  double gradients = 0.0;
  double optimizer = 0.0;
  double sum() const { return values + gradients + optimizer; }
};

StateBytes state_bytes(const TinyRun& run, std::int64_t parameters) {
  const Divisors divisors = divisors_of(run);
  const auto psi = static_cast<double>(parameters);
  const bool mixed = run.compute == DType::bf16;
  return {.values = (mixed ? 2 : 4) * psi / divisors.value,
          .gradients = 4 * psi / divisors.gradient,
          .optimizer = (mixed ? 12 : 8) * psi / divisors.optimizer};
}

/// The cut stages on three ranks, and hybrids of 2 × 2.
std::vector<TinyRun> stages_and_hybrids(const TinyModel& model, DType compute) {
  std::vector<TinyRun> runs;
  for (int stage = 0; stage <= 3; ++stage) {
    for (const MeshShape shape : {MeshShape{.replica = 1, .shard = 3}, MeshShape{.replica = 2, .shard = 2}})
      runs.push_back({.compute = compute, .stage = stage, .shape = shape, .batch = 12, .model = model});
  }
  return runs;
}

TEST(Budget, StateByKindFollowsTheFormulas) {
  for (const DType compute : {DType::f32, DType::bf16}) {
    for (const TinyRun& run : stages_and_hybrids(medium_model(), compute)) {
      on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
        for (int step = 0; step < 2; ++step) rank.trainer.step();
        const StateBytes expected = state_bytes(run, parameters_of(rank));
        const auto held = [&](MemoryKind kind) { return static_cast<double>(rank.rank.ledger.current_bytes(kind)); };

        EXPECT_NEAR(held(MemoryKind::parameters) / expected.values, 1.0, 0.01) << name_of_run(run);
        EXPECT_NEAR(held(MemoryKind::gradients) / expected.gradients, 1.0, 0.01) << name_of_run(run);
        EXPECT_NEAR(held(MemoryKind::optimizer) / expected.optimizer, 1.0, 0.01) << name_of_run(run);
      });
    }
  }
}

// --- peak -----------------------------------------------------------------------------------------------------------

constexpr std::int64_t kCheckpointStaging = 4 * (256 << 10);  // four hash blocks
constexpr std::int64_t kBatchBytesPerRow = 64;                // token, position, target, sample and the like
constexpr std::int64_t kOperations = 8 << 20;                 // scratch: a widened block of 4 MiB with rows and sums
constexpr std::int64_t kSmall = 64 << 10;                     // scalars, padding of ranges, alignment

/// The promise is the peak ≤ this: the rank's share, the two largest units with values and gradients, activations, and
/// the small buffers that are stated above.
struct PeakBound {
  std::int64_t share = 0;
  std::int64_t two_units = 0;
  std::int64_t one_unit = 0;  // values of the smallest unit
  std::int64_t activations = 0;
  std::int64_t before_steps() const { return share + two_units + activations; }
  std::int64_t operations = 0;
  std::int64_t in_steps() const { return before_steps() + operations; }
};

PeakBound peak_bound(const TinyRank& rank, const TinyRun& run, std::int64_t operations) {
  std::vector<std::int64_t> counts;
  for (const UnitSpec& unit : rank.store.model()) counts.push_back(unit.count());
  std::sort(counts.begin(), counts.end(), std::greater<>());
  const std::int64_t width = bytes_of(run.compute);
  return {.share = static_cast<std::int64_t>(state_bytes(run, parameters_of(rank)).sum()) + kSmall,
          .two_units = (counts[0] + counts[1]) * (width + 4),
          .one_unit = counts.back() * width,
          .activations = transformer_bytes(rank.spec, rank.transformer.settings(), whole_model(rank.spec)) +
                         rank.loader.rows() * kBatchBytesPerRow,
          .operations = operations};
}

/// Scratch that the operations take in the first steps: they know no layout, so a rank alone with micro batches of the
/// same size tells.
std::int64_t operations_scratch(TinyRun run) {
  run.batch /= run.shape.ranks();
  run.shape = {};
  std::int64_t scratch = 0;
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    const std::int64_t before = rank.rank.ledger.current_bytes();
    for (int step = 0; step < 2; ++step) rank.trainer.step();
    scratch = rank.rank.ledger.peak_bytes() - before;
  });
  EXPECT_LE(scratch, kOperations);
  return scratch;
}

std::int64_t peak_during(TinyRank& rank, const std::function<void()>& work) {
  rank.rank.ledger.reset_peak();
  work();
  return rank.rank.ledger.peak_bytes();
}

/// The bound has teeth where a single unit more would break it.
void expect_within(std::int64_t peak, std::int64_t bound, const PeakBound& parts, const char* phase) {
  EXPECT_LE(peak, bound) << phase;
  EXPECT_GT(peak + parts.one_unit, bound) << phase << ": a unit more would pass unseen";
}

void expect_peaks(TinyRank& rank, const PeakBound& parts, const std::string& folder) {
  expect_within(rank.rank.ledger.peak_bytes(), parts.before_steps(), parts, "initialisation");
  expect_within(peak_during(rank, [&] { rank.trainer.step(); }), parts.in_steps(), parts, "the first step");
  expect_within(peak_during(rank, [&] { rank.trainer.step(); }), parts.in_steps(), parts, "the second step");
  const auto saves = [&] { test::save(rank, folder); };
  expect_within(peak_during(rank, saves), parts.in_steps() + kCheckpointStaging, parts, "a save");
  const auto loads = [&] { test::load(rank, folder); };
  expect_within(peak_during(rank, loads), parts.in_steps() + kCheckpointStaging, parts, "a load");

  const Buffer planted = rank.rank.device->allocate(parts.one_unit, MemoryKind::buffers);
  EXPECT_GT(peak_during(rank, [&] { rank.trainer.step(); }), parts.in_steps()) << "one unit more must be seen";
}

void expect_peaks_on_all_ranks(const TinyRun& run) {
  SCOPED_TRACE(name_of_run(run) + (run.model.tied.value_or(true) ? " tied" : " untied"));
  const std::int64_t operations = operations_scratch(run);
  const ScratchDirectory scratch;
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    expect_peaks(rank, peak_bound(rank, run, operations), scratch.path("checkpoints"));
  });
}

struct PeakCase {
  Head head;
  DType compute;
  std::int64_t accumulation;
};

TEST(Budget, PeakIsTheShareAndTheTwoLargestUnits) {
  for (const PeakCase& each : {PeakCase{Head::tied, DType::f32, 1}, PeakCase{Head::tied, DType::bf16, 2},
                               PeakCase{Head::own, DType::f32, 2}, PeakCase{Head::own, DType::bf16, 1}}) {
    expect_peaks_on_all_ranks({.compute = each.compute,
                               .stage = 3,
                               .shape = {.replica = 1, .shard = 2},
                               .accumulation = each.accumulation,
                               .batch = 8,
                               .model = large_model(each.head)});
  }
}

TEST(Budget, OverlapHoldsNoMoreThanTwoUnits) {
  const TinyRun run{.compute = DType::bf16,
                    .stage = 3,
                    .shape = {.replica = 2, .shard = 2},
                    .overlap = test::Overlap::on,
                    .batch = 8,
                    .model = large_model(Head::tied)};
  expect_peaks_on_all_ranks(run);
}

// --- forecast -------------------------------------------------------------------------------------------------------

TrainingShape shape_of(TinyRank& rank, const TinyRun& run) {
  return {.model = rank.store.model(),
          .store = test::settings_of(run),
          .spec = rank.spec,
          .transformer = rank.transformer.settings(),
          .batch = rank.loader.shape(),
          .sequence_length = tiny_dataset().sequence_length()};
}

MemoryByKind forecast_of(TinyRank& rank, const TinyRun& run) {
  return forecast_memory(shape_of(rank, run), rank.rank.mesh, *rank.rank.ops);
}

/// Steps, a validation and a save: then the ledger has counted, of each kind, what was foreseen.
void expect_forecast(const TinyRun& run) {
  SCOPED_TRACE(name_of_run(run));
  const ScratchDirectory folder;
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    const MemoryByKind expected = forecast_of(rank, run);
    const MemoryLedger& ledger = rank.rank.ledger;
    const std::int64_t allocations = ledger.allocations();
    EXPECT_EQ(forecast_of(rank, run), expected);
    EXPECT_EQ(ledger.allocations(), allocations) << "a forecast allocates nothing";

    for (int step = 0; step < 2; ++step) rank.trainer.step();
    rank.trainer.validation_loss();
    test::save(rank, folder.path("checkpoints"));

    for (std::size_t kind = 0; kind < kMemoryKinds; ++kind) {
      const auto counted = static_cast<double>(ledger.peak_bytes(static_cast<MemoryKind>(kind)));
      EXPECT_NEAR(static_cast<double>(expected[kind]), counted, 0.01 * counted)
          << name_of(static_cast<MemoryKind>(kind));
    }
    const auto counted = static_cast<double>(ledger.peak_bytes());
    EXPECT_NEAR(static_cast<double>(sum_of(expected)), counted, 0.01 * counted);
    EXPECT_EQ(forecast_host_memory(shape_of(rank, run), rank.rank.mesh), rank.store.host_ledger().peak_bytes());
  });
}

TEST(Budget, TheForecastIsTheCountedPeak) {
  for (const DType compute : {DType::f32, DType::bf16}) {
    expect_forecast({.compute = compute, .batch = 12, .model = medium_model()});
    for (const TinyRun& run : stages_and_hybrids(medium_model(), compute)) expect_forecast(run);
    expect_forecast(
        test::offloaded({.compute = compute, .stage = 2, .shape = {.shard = 2}, .batch = 12, .model = medium_model()}));
  }
}

TEST(Budget, TheForecastHoldsForOtherFamiliesSizesAndRules) {
  const MeshShape two{.replica = 1, .shard = 2};
  for (const DType compute : {DType::f32, DType::bf16}) {
    expect_forecast({.family = "llama", .compute = compute, .stage = 3, .shape = two, .accumulation = 2, .batch = 64});
    expect_forecast({.compute = compute,
                     .stage = 2,
                     .shape = two,
                     .dropout = 0.1f,
                     .rule = {.kind = OptimizerKind::lion},
                     .batch = 256,
                     .model = large_model(Head::own)});
    expect_forecast({.compute = compute,
                     .stage = 3,
                     .shape = two,
                     .persistence_threshold = 5000,
                     .rule = {.kind = OptimizerKind::sgd},
                     .batch = 8,
                     .model = {.layers = 1, .width = 64, .ffn_width = 5000}});
  }
}

// --- traffic --------------------------------------------------------------------------------------------------------

/// Elements that each rank sends in a step, in the unit of the ZeRO papers, and the parameters they carry: those of the
/// blocks, and of the tables before and behind them.
struct StepTraffic {
  double elements = 0.0;
  double blocks = 0.0;
  double tables = 0.0;
  double times_the_parameters() const { return elements / (blocks + tables); }
};

StepTraffic traffic_of_step(const TinyRun& run) {
  std::vector<StepTraffic> found(static_cast<std::size_t>(run.shape.ranks()));
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    StepTraffic& mine = found[static_cast<std::size_t>(rank.rank.mesh.rank())];
    for (const UnitSpec& unit : rank.store.model())
      (unit.name.starts_with("blocks.") ? mine.blocks : mine.tables) += static_cast<double>(unit.count());
    rank.trainer.step();
    const std::int64_t before = rank.rank.mesh.traffic().total().elements;
    rank.trainer.step();
    mine.elements = static_cast<double>(rank.rank.mesh.traffic().total().elements - before);
  });
  for (const StepTraffic& each : found) EXPECT_EQ(each.elements, found[0].elements) << name_of_run(run);
  return found[0];
}

/// As below, but with gradients that are kept whole over the micro batches: 2 at stage 2, 2 m + 1 at stage 3.
TEST(Budget, TrafficOfReducingOnceFollowsTheFormula) {
  const std::int64_t m = 3;
  for (const auto& [stage, expected] : {std::pair{2, 2.0}, std::pair{3, 2.0 * m + 1.0}}) {
    const TinyRun run{.stage = stage,
                      .shape = {.shard = 2},
                      .accumulation = m,
                      .reduction = GradientReduction::once_a_step,
                      .batch = 12,
                      .model = medium_model()};
    EXPECT_NEAR(traffic_of_step(run).times_the_parameters() / expected, 1.0, 0.01) << name_of_run(run);
  }
}

/// Times the parameters, for m micro batches on r replicas of s shards:
///   stage 0: all-reduce of the gradient once a step                                    2
///   stage 1: reduce-scatter once, all-gather of the updated values                     2
///   stage 2: reduce-scatter of each micro batch, all-gather of the updated values      m + 1
///   stage 3: two all-gathers and a reduce-scatter of each micro batch                  3 m
/// and where replicas hold the same optimizer pieces (r > 1), from stage 1 on, an all-reduce of a piece: + 2 / s.
double stated_times(const TinyRun& run) {
  const auto m = static_cast<double>(run.accumulation);
  const double replicas = run.stage > 0 && run.shape.replica > 1 ? 2.0 / run.shape.shard : 0.0;
  return std::vector<double>{2.0, 2.0, m + 1.0, 3.0 * m}.at(static_cast<std::size_t>(run.stage)) + replicas;
}

TEST(Budget, TrafficIsTwoTwoTwoThreeTimesTheParameters) {
  const double expected[] = {2.0, 2.0, 2.0, 3.0};
  for (int stage = 0; stage <= 3; ++stage) {
    for (const int ranks : {2, 3}) {
      const TinyRun run{.stage = stage, .shape = {.shard = ranks}, .batch = 12, .model = medium_model()};
      EXPECT_NEAR(traffic_of_step(run).times_the_parameters() / expected[stage], 1.0, 0.01) << name_of_run(run);
    }
  }
}

TEST(Budget, TrafficOfAccumulationAndHybridsFollowsTheFormula) {
  for (int stage = 0; stage <= 3; ++stage) {
    for (const std::int64_t accumulation : {1, 3}) {
      for (const MeshShape shape : {MeshShape{.shard = 2}, MeshShape{.replica = 2, .shard = 2}}) {
        const TinyRun run{.compute = DType::bf16,
                          .stage = stage,
                          .shape = shape,
                          .accumulation = accumulation,
                          .batch = 12,
                          .model = medium_model()};
        EXPECT_NEAR(traffic_of_step(run).times_the_parameters() / stated_times(run), 1.0, 0.01) << name_of_run(run);
      }
    }
  }
}

/// An embedding of its own is needed in the forward pass alone and a head of its own in the backward pass alone, where
/// logits and their gradient are made in one go: each is gathered once. So stage 3 sends 3 B + 2 T a micro batch for B
/// parameters in blocks and T in the two tables.
TEST(Budget, AnUntiedEmbeddingAndHeadAreGatheredOnce) {
  for (const std::int64_t accumulation : {1, 2}) {
    const TinyRun run{
        .stage = 3, .shape = {.shard = 3}, .accumulation = accumulation, .batch = 12, .model = medium_model(Head::own)};
    const StepTraffic found = traffic_of_step(run);
    const double expected = static_cast<double>(accumulation) * (3 * found.blocks + 2 * found.tables);
    EXPECT_NEAR(found.elements / expected, 1.0, 0.001);
  }
}

}  // namespace
}  // namespace ferula
