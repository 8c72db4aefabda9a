// A long run takes no more memory, files, threads or shared mappings after 1,000 steps than after 100, with saving and
// validation on: processes of an MPI job, and two simulated ranks where the job has one process.
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "comm/mpi_transport.hpp"
#include "support/process_state.hpp"
#include "support/ranks/job.hpp"
#include "support/scratch_directory.hpp"
#include "support/train/tiny_training.hpp"

namespace ferula {
namespace {

using test::process_state;
using test::ProcessState;
using test::TinyRank;
using test::TinyRun;
using test::TinyTraining;

constexpr std::int64_t kEarly = 100;
constexpr std::int64_t kLate = 1000;
constexpr std::int64_t kResidentTolerance = 1 << 20;

/// Never asks, but is asked at the end of every step: a place to look at the process from within a run.
class Watch final : public StopRequest {
 public:
  ExitCode asked() const override {
    ++step_;
    if (step_ == kEarly) early = process_state();
    if (step_ == kLate) late = process_state();
    return ExitCode::done;
  }

  mutable std::optional<ProcessState> early, late;

 private:
  mutable std::int64_t step_ = 0;
};

void expect_stable(const Watch& watch) {
  ASSERT_TRUE(watch.early && watch.late);
  const std::string both = testing::PrintToString(*watch.early) + ", later " + testing::PrintToString(*watch.late);
  EXPECT_LE(std::abs(watch.late->resident_bytes - watch.early->resident_bytes), kResidentTolerance) << both;
  EXPECT_EQ(watch.late->open_files, watch.early->open_files) << both;
  EXPECT_EQ(watch.late->threads, watch.early->threads) << both;
  EXPECT_EQ(watch.late->shared_mappings, watch.early->shared_mappings) << both;
}

TinyRun small_run(int stage, int ranks) {
  return {.compute = DType::bf16,
          .stage = stage,
          .shape = {.shard = ranks},
          .overlap = test::Overlap::on,
          .batch = 12,
          .model = {.layers = 1, .width = 16, .ffn_width = 32}};
}

TinyTraining long_training(const std::string& root) {
  return {.root = root, .steps = kLate, .checkpoint_every = 50, .evaluate_every = 50, .retention = {.keep_last = 2}};
}

TEST(Stability, ProcessesHoldNoMoreAfterAThousandSteps) {
  if (test::job().size() == 1) GTEST_SKIP() << "needs several processes";
  const test::TinyCorpus corpus(16);
  const TinyRun run = small_run(3, test::job().size());
  test::RankParts parts(make_mpi_transport(test::job()), run.shape, make_cpu_ops);
  set_compute_threads(1);
  TinyRank rank(parts, run, corpus.dataset());
  const double id = agree_max(parts.mesh.world(), *parts.compute, parts.mesh.rank() == 0 ? ::getpid() : 0);
  const std::filesystem::path root = std::filesystem::temp_directory_path() / fmt::format("ferula-stability-{}", id);
  if (parts.mesh.rank() == 0) std::filesystem::create_directories(root);
  barrier(parts.mesh.world(), *parts.compute);
  const Watch watch;

  EXPECT_EQ(run_training(rank, long_training(root.string()), watch), ExitCode::done);

  expect_stable(watch);
  if (parts.mesh.rank() == 0) std::filesystem::remove_all(root);
  barrier(parts.mesh.world(), *parts.compute);
}

TEST(Stability, SimulatedRanksHoldNoMoreAfterAThousandSteps) {
  if (test::job().size() > 1) GTEST_SKIP() << "one process is enough";
  const test::TinyCorpus corpus(16);
  const ScratchDirectory scratch;
  const Watch watch;
  const test::NeverStop never;

  on_tiny_ranks(small_run(2, 2), corpus.dataset(), [&](TinyRank& rank) {
    const StopRequest& stop = rank.rank.mesh.rank() == 0 ? static_cast<const StopRequest&>(watch) : never;
    EXPECT_EQ(run_training(rank, long_training(scratch.path()), stop), ExitCode::done);
  });

  expect_stable(watch);
}

TEST(Stability, AnOpenFileThatIsForgottenIsSeen) {
  const ProcessState before = process_state();
  const auto files = make_posix_file_system();
  const auto forgotten = files->open("/proc/self/maps", OpenMode::read);

  EXPECT_EQ(process_state().open_files, before.open_files + 1);
}

}  // namespace
}  // namespace ferula
