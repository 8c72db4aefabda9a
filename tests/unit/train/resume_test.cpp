// A run that stopped and went on against one that never stopped, and what a run leaves in its folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <mutex>

#include "checkpoint/checkpoint_folder.hpp"
#include "support/scratch_directory.hpp"
#include "support/train/tiny_training.hpp"
#include "support/train/whole_state.hpp"

namespace ferula {
namespace {

using test::Curve;
using test::name_of_run;
using test::tiny_dataset;
using test::TinyRank;
using test::TinyRun;
using test::TinyTraining;
using test::WholeState;
using test::worst_relative;
using Names = std::vector<std::string>;

constexpr std::int64_t kSteps = 10;
constexpr std::int64_t kStopsAfter = 4;

// --- bits -----------------------------------------------------------------------------------------------------------

/// Losses and norms of the steps of a journey, and the state at its end.
struct Journey {
  Curve curve;
  WholeState state;
};

void steps_to(TinyRank& rank, std::int64_t last, Curve& curve) {
  while (rank.trainer.progress().step < last) {
    const StepResult result = rank.trainer.step();
    if (rank.rank.mesh.rank() != 0) continue;
    curve.losses.push_back(result.loss);
    curve.norms.push_back(result.gradient_norm);
  }
}

void travel(const TinyRun& run, Journey& journey) {
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    steps_to(rank, kSteps, journey.curve);
    journey.state.add(rank.store.owned_pieces());
  });
}

void travel_with_a_stop(const TinyRun& before, const TinyRun& behind, Journey& journey) {
  const ScratchDirectory scratch;
  const std::string folder = scratch.path("checkpoints");
  on_tiny_ranks(before, tiny_dataset(), [&](TinyRank& rank) {
    steps_to(rank, kStopsAfter, journey.curve);
    test::save(rank, folder);
    rank.trainer.step();  // lost, as all that comes after the last checkpoint
  });
  on_tiny_ranks(behind, tiny_dataset(), [&](TinyRank& rank) {
    test::load(rank, folder);
    steps_to(rank, kSteps, journey.curve);
    journey.state.add(rank.store.owned_pieces());
  });
}

std::vector<TinyRun> runs_that_stop() {
  const MeshShape one{}, two{.shard = 2}, three{.shard = 3}, hybrid{.replica = 2, .shard = 2};
  std::vector<TinyRun> runs;
  for (const DType compute : {DType::f32, DType::bf16}) {
    runs.push_back({.compute = compute, .stage = 0, .shape = one, .dropout = 0.1f});
    runs.push_back({.compute = compute, .stage = 0, .shape = two, .accumulation = 2, .dropout = 0.1f});
    runs.push_back({.family = "llama", .compute = compute, .stage = 1, .shape = three});
    runs.push_back({.compute = compute, .stage = 2, .shape = two, .accumulation = 2, .dropout = 0.1f});
    runs.push_back({.compute = compute, .stage = 3, .shape = three, .overlap = test::Overlap::on, .dropout = 0.1f});
    runs.push_back({.compute = compute, .stage = 3, .shape = hybrid, .accumulation = 2, .dropout = 0.1f});
  }
  const OptimizerRule sgd{.kind = OptimizerKind::sgd, .momentum = 0.9f, .nesterov = true};
  runs.push_back({.stage = 2, .shape = three, .dropout = 0.1f, .rule = sgd});
  return runs;
}

TEST(Resume, OnTheSameLayoutNoBitDiffers) {
  for (const TinyRun& run : runs_that_stop()) {
    SCOPED_TRACE(name_of_run(run));
    Journey expected, found;
    travel(run, expected);

    travel_with_a_stop(run, run, found);

    EXPECT_EQ(found.curve.losses, expected.curve.losses);
    EXPECT_EQ(found.curve.norms, expected.curve.norms);
    EXPECT_EQ(found.state.differences(expected.state), Names{});
  }
}

TEST(Resume, OnAnotherLayoutTheCurveIsTheSame) {
  const TinyRun one{.dropout = 0.1f};
  Journey expected;
  travel(one, expected);
  const std::vector<std::pair<TinyRun, TinyRun>> moves{
      {{.stage = 2, .shape = {.shard = 2}, .dropout = 0.1f}, {.stage = 3, .shape = {.shard = 3}, .dropout = 0.1f}},
      {{.stage = 3, .shape = {.shard = 4}, .dropout = 0.1f}, one},
      {one, {.stage = 3, .shape = {.replica = 2, .shard = 2}, .accumulation = 2, .dropout = 0.1f}},
      {{.stage = 1, .shape = {.shard = 3}, .accumulation = 4, .dropout = 0.1f},
       {.stage = 0, .shape = {.shard = 2}, .dropout = 0.1f}}};
  for (const auto& [before, behind] : moves) {
    SCOPED_TRACE(name_of_run(before) + " goes on at " + name_of_run(behind));
    Journey found;
    travel_with_a_stop(before, behind, found);

    // The bound of docs/numerics.md: only the order of sums differs.
    EXPECT_LE(worst_relative(found.curve.losses, expected.curve.losses), 1e-5);
    EXPECT_LE(worst_relative(found.curve.norms, expected.curve.norms), 1e-5);
  }
}

TEST(Resume, CountersGoOnAcrossLayouts) {
  const ScratchDirectory scratch;
  const auto steps = [&](const TinyRun& run, std::int64_t last, bool goes_on) {
    on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
      Curve curve;
      if (goes_on) test::load(rank, scratch.path("checkpoints"));
      steps_to(rank, last, curve);
      test::save(rank, scratch.path("checkpoints"));
      const TrainerProgress& progress = rank.trainer.progress();
      EXPECT_EQ(progress.step, last);
      EXPECT_EQ(progress.micro_steps, goes_on ? 4 * 1 + 6 * 3 : 4 * 1);
      EXPECT_EQ(progress.samples_seen, 48 * last);
    });
  };

  steps({.stage = 2, .shape = {.shard = 2}}, 4, false);
  steps({.stage = 3, .shape = {.shard = 4}, .accumulation = 3}, 10, true);
}

TEST(Resume, AForgottenMomentWouldBeSeen) {
  const TinyRun run{.stage = 2, .shape = {.shard = 2}};
  Journey expected, found;
  travel(run, expected);
  const ScratchDirectory scratch;
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    steps_to(rank, kStopsAfter, found.curve);
    test::save(rank, scratch.path("checkpoints"));
  });
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    test::load(rank, scratch.path("checkpoints"));
    for (const OwnedPiece& piece : rank.store.needed_pieces())
      if (piece.role == "exp_avg" && piece.tensor == "final_norm.weight")
        std::fill_n(piece.data.data, static_cast<std::size_t>(piece.data.bytes()), std::byte{0});
    steps_to(rank, kSteps, found.curve);
  });

  EXPECT_GT(worst_relative(found.curve.losses, expected.curve.losses), 1e-5);
}

// --- a run's folder -------------------------------------------------------------------------------------------------

/// Asks from the end of step `steps` of this start on.
class StopAfter final : public StopRequest {
 public:
  StopAfter(std::int64_t steps, ExitCode code) : steps_(steps), code_(code) {}
  ExitCode asked() const override { return ++steps_seen_ >= steps_ ? code_ : ExitCode::done; }

 private:
  std::int64_t steps_;
  ExitCode code_;
  mutable std::int64_t steps_seen_ = 0;
};

/// Trains on the ranks of `run`; `stop` is what rank 0 hears. All ranks must return the same code.
ExitCode train(const TinyRun& run, const TinyTraining& training, const StopRequest& stop) {
  std::vector<ExitCode> codes(static_cast<std::size_t>(run.shape.ranks()));
  const test::NeverStop never;
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    const int number = rank.rank.mesh.rank();
    const StopRequest& heard = number == 0 ? stop : never;
    codes[static_cast<std::size_t>(number)] = run_training(rank, training, heard);
  });
  for (const ExitCode code : codes) EXPECT_EQ(code, codes[0]);
  return codes[0];
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The lines of metrics.jsonl without what a clock decides.
std::vector<std::string> metrics_of(const std::string& root) {
  std::ifstream file(root + "/metrics.jsonl");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line.substr(0, line.find(", \"step_seconds\"")));
  return lines;
}

std::vector<std::int64_t> checkpoints_of(const std::string& root) {
  return steps_in(*make_posix_file_system(), root + "/checkpoints");
}

TEST(TrainingRun, AStopRequestOfOneRankSavesOnAllAndTheRunGoesOnWhereItStopped) {
  const TinyRun run{.compute = DType::bf16, .stage = 3, .shape = {.shard = 3}};
  const ScratchDirectory whole, stopped;
  EXPECT_EQ(train(run, {.root = whole.path(), .steps = kSteps, .checkpoint_every = 5}, test::NeverStop()),
            ExitCode::done);

  const TinyTraining training{.root = stopped.path(), .steps = kSteps, .checkpoint_every = 5};
  EXPECT_EQ(train(run, training, StopAfter(3, ExitCode::resume_me)), ExitCode::resume_me);
  EXPECT_EQ(checkpoints_of(stopped.path()), std::vector<std::int64_t>{3});
  EXPECT_THAT(text_of(stopped.path("summary.json")), testing::HasSubstr("saved after SIGUSR1, SIGTERM or SIGHUP"));
  EXPECT_EQ(train(run, training, StopAfter(4, ExitCode::interrupted)), ExitCode::interrupted);
  EXPECT_EQ(checkpoints_of(stopped.path()), (std::vector<std::int64_t>{3, 5, 7}));
  EXPECT_EQ(train(run, training, test::NeverStop()), ExitCode::done);

  EXPECT_EQ(checkpoints_of(stopped.path()), (std::vector<std::int64_t>{3, 5, 7, 10}));
  EXPECT_EQ(metrics_of(stopped.path()), metrics_of(whole.path()));
  EXPECT_THAT(text_of(stopped.path("summary.json")), testing::HasSubstr("\"finished\""));
}

TEST(TrainingRun, MetricsBehindTheLastCheckpointAreWrittenAgain) {
  const TinyRun run{.stage = 2, .shape = {.shard = 2}};
  const ScratchDirectory scratch;
  const TinyTraining training{.root = scratch.path(), .steps = kSteps, .checkpoint_every = 4};
  EXPECT_EQ(train(run, training, test::NeverStop()), ExitCode::done);
  const std::vector<std::string> expected = metrics_of(scratch.path());
  ASSERT_EQ(std::ssize(expected), kSteps);
  std::filesystem::remove_all(scratch.path("checkpoints/step-00000010"));  // as if it had died before the last save
  std::filesystem::remove_all(scratch.path("checkpoints/step-00000008"));
  std::ofstream(scratch.path("metrics.jsonl"), std::ios::app) << "{\"step\": 11, \"lo";

  EXPECT_EQ(train(run, training, test::NeverStop()), ExitCode::done);

  EXPECT_EQ(metrics_of(scratch.path()), expected);
  EXPECT_FALSE(std::filesystem::exists(scratch.path("metrics.jsonl.new")));
  EXPECT_EQ(checkpoints_of(scratch.path()), (std::vector<std::int64_t>{4, 8, 10}));
}

TEST(TrainingRun, ADamagedNewestCheckpointCostsStepsAndNothingElse) {
  const TinyRun run{.stage = 1, .shape = {.shard = 2}};
  const ScratchDirectory scratch;
  const TinyTraining training{.root = scratch.path(), .steps = kSteps, .checkpoint_every = 5};
  EXPECT_EQ(train(run, training, test::NeverStop()), ExitCode::done);
  const std::vector<std::string> expected = metrics_of(scratch.path());
  const std::string shard = scratch.path("checkpoints/step-00000010/shard-00001.h5");
  std::filesystem::resize_file(shard, std::filesystem::file_size(shard) - 1);

  EXPECT_EQ(train(run, training, test::NeverStop()), ExitCode::done);

  EXPECT_EQ(metrics_of(scratch.path()), expected);
  EXPECT_EQ(checkpoints_of(scratch.path()), (std::vector<std::int64_t>{5, 10}));
}

TEST(TrainingRun, ADoneRunComputesNothing) {
  const TinyRun run{.stage = 3, .shape = {.shard = 2}};
  const ScratchDirectory scratch;
  const TinyTraining training{.root = scratch.path(), .steps = 4, .checkpoint_every = 2};
  EXPECT_EQ(train(run, training, test::NeverStop()), ExitCode::done);
  const std::string metrics = text_of(scratch.path("metrics.jsonl"));

  EXPECT_EQ(train(run, training, test::NeverStop()), ExitCode::done);

  EXPECT_EQ(text_of(scratch.path("metrics.jsonl")), metrics);
  EXPECT_EQ(checkpoints_of(scratch.path()), (std::vector<std::int64_t>{2, 4}));
}

/// Nobody asks to stop, but at the end of each step a file takes the place of the folder of checkpoints.
class FolderThief final : public StopRequest {
 public:
  explicit FolderThief(std::string folder) : folder_(std::move(folder)) {}
  ExitCode asked() const override {
    const std::lock_guard lock(mutex_);
    std::filesystem::remove_all(folder_);
    std::ofstream(folder_) << "a file where a folder should be";
    return ExitCode::done;
  }

 private:
  std::string folder_;
  mutable std::mutex mutex_;
};

TEST(TrainingRun, ALastSaveThatFailsIsNeverCalledSaved) {
  const TinyRun run{.stage = 2, .shape = {.shard = 2}};
  const ScratchDirectory scratch;
  const TinyTraining training{.root = scratch.path(), .steps = 2};

  EXPECT_THROW(train(run, training, FolderThief(scratch.path("checkpoints"))), CapacityError);

  EXPECT_THAT(text_of(scratch.path("summary.json")), testing::HasSubstr("NOT saved after step 2"));
}

}  // namespace
}  // namespace ferula
