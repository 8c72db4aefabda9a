// What `ferula status` reads out of a run directory and the queue.
#include "app/jobs/run_status.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/jobs/job_record.hpp"
#include "storage/posix_lock.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RunStatusOf : public testing::Test {
 protected:
  void SetUp() override {
    scratch_.write("my/config.toml", "[data]\ntext = [\"a\"]\n[training]\nsteps = 10\ntrain_batch_size = 1\n");
    scratch_.write(
        "my/metrics.jsonl",
        "{\"step\":1,\"loss\":9.0}\n{\"step\":4,\"loss\":2.5,\"tokens_per_second\":100.0,\"step_seconds\":0.5}\n"
        "{\"step\":5,\"lo");
  }
  std::filesystem::path run() const { return std::filesystem::path(scratch_.path()) / "my"; }
  void record(const std::string& job, const std::string& log = "slurm-12.out") const {
    write_job_record(*make_posix_file_system(), run(), {job, "job.sbatch", log, "ferula submit my.toml"});
  }

  ScratchDirectory scratch_;
};

TEST_F(RunStatusOf, ARunningJobTellsItsProgress) {
  record("12");

  const RunStatus status = run_status(run(), {{"12", {"RUNNING", "node1", "1:00:00", ""}}});

  EXPECT_EQ(status.state, "running on node1, 1:00:00 left");
  EXPECT_EQ(status.step, 4);
  EXPECT_EQ(status.steps, 10);
  EXPECT_EQ(status.loss, 2.5);
  EXPECT_EQ(status.eta_s, 3.0);
}

TEST_F(RunStatusOf, AJobThatWaitsTellsWhy) {
  record("12");

  EXPECT_EQ(run_status(run(), {{"12", {"PENDING", "(Priority)", "", ""}}}).state,
            "queued, waits while others come first (Priority)");
  EXPECT_THAT(run_status(run(), {{"12", {"PENDING", "(Resources)", "", "2026-11-28T10:00:00"}}}).state,
              HasSubstr("expected to start 2026-11-28T10:00:00"));
  EXPECT_THAT(run_status(run(), {{"12", {"PENDING", "(SomethingNew)", "", ""}}}).state, HasSubstr("(SomethingNew)"));
}

TEST_F(RunStatusOf, AnArrayCountsItsTasks) {
  record("12", "slurm-12_N.out");
  const QueuedJob runs{"RUNNING", "node1", "1:00:00", ""}, waits{"PENDING", "(Resources)", "", ""};

  EXPECT_EQ(run_status(run(), {{"12", runs}, {"12_0", runs}, {"12_1", waits}, {"12_2", waits}, {"123_0", runs}}).state,
            "an array, with a run for each task: my-N; 1 running, 2 queued");
  EXPECT_THAT(run_status(run(), {}).state, HasSubstr("no task is left in the queue"));
}

TEST_F(RunStatusOf, ATaskOfAnArrayHasTheNumberOfItsJob) {
  record("12", "slurm-12_N.out");
  scratch_.write("my-3/log.txt", "");

  const RunStatus status = run_status(scratch_.path("my-3"), {});

  EXPECT_EQ(status.job, "12_3");
  EXPECT_EQ(status.log, "slurm-12_3.out");
}

TEST_F(RunStatusOf, WithoutAJobTheLockAndTheSummaryTell) {
  EXPECT_THAT(run_status(run(), {}).state, HasSubstr("ended without a word"));
  scratch_.write("my/summary.json", "{\"exit_reason\":\"finished\"}");
  EXPECT_EQ(run_status(run(), {}).state, "finished");

  const LockAttempt lock = try_posix_lock((run() / "lock").string(), "process 7 on node1");

  EXPECT_EQ(run_status(run(), {}).state, "running: process 7 on node1");
}

TEST_F(RunStatusOf, AnArrayPointsToTheRunsOfItsTasks) {
  write_job_record(*make_posix_file_system(), scratch_.path(), {"12", "job.sbatch", "slurm-12_N.out", "ferula submit"});

  EXPECT_THAT(run_status(scratch_.path(), {}).state, HasSubstr("an array, with a run for each task"));
}

TEST_F(RunStatusOf, AJobThatNeverTrainedPointsToItsLog) {
  const std::filesystem::path other = scratch_.path("other");
  const std::string log = scratch_.write("other/slurm-7.out", "srun: error\n");
  write_job_record(*make_posix_file_system(), other, {"7", "job.sbatch", log, "ferula submit"});

  EXPECT_EQ(run_status(other, {}).state, "nothing trained yet; slurm-7.out tells what its job did");
}

TEST_F(RunStatusOf, ADamagedRecordIsNone) {
  record("12\n13");

  EXPECT_EQ(run_status(run(), {}).job, "");
}

TEST_F(RunStatusOf, FoldersInPlaceOfItsFilesTellNothing) {
  for (const char* name : {"metrics.jsonl", "summary.json", "config.toml", "job.json"}) {
    std::filesystem::remove(run() / name);
    std::filesystem::create_directories(run() / name);
  }

  const RunStatus status = run_status(run(), {});

  EXPECT_EQ(status.state, "not started");
  EXPECT_FALSE(status.step || status.steps || !status.job.empty());
}

TEST_F(RunStatusOf, RunsAreFoundAloneAndInTheirFolder) {
  scratch_.write("other/readme.txt", "");

  EXPECT_THAT(find_runs({scratch_.path()}), ElementsAre(run()));
  EXPECT_THAT(find_runs({run().string()}), ElementsAre(run()));
}

}  // namespace
}  // namespace ferula
