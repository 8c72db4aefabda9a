// What waits for a job, beside a made-up SLURM.
#include "app/jobs/job_wait.hpp"

#include <gtest/gtest.h>

#include "support/fake_programs.hpp"

namespace ferula {
namespace {

/// In the queue at the first look, a controller that is away at the second, and gone at the third.
constexpr const char* kQueue = R"(echo x >>$here/looks
case $(wc -l <$here/looks) in
  1) echo '7|7|CONFIGURING|gpu01|1:00' ;;
  2) echo 'Unable to contact slurm controller' >&2; exit 1 ;;
esac)";

ExitCode code_after(const char* scontrol) {
  const test::FakePrograms programs;
  programs.add("squeue", kQueue);
  programs.add("scontrol", scontrol);
  return wait_for_job("7", std::chrono::milliseconds(1));
}

TEST(JobWait, OutlastsANodeThatStartsAndAControllerThatIsAway) {
  EXPECT_EQ(code_after("[ $(wc -l <$here/looks) = 3 ] && echo 'JobId=7 JobState=COMPLETED Reason=None'"),
            ExitCode::done);
}

TEST(JobWait, FailsWhereATaskDidNotEndWellOrNobodyKnows) {
  EXPECT_EQ(code_after("echo 'JobId=7 JobState=COMPLETED'; echo 'JobId=8 JobState=BOOT_FAIL'"), ExitCode::failed);
  EXPECT_EQ(code_after("echo 'Invalid job id specified' >&2; exit 1"), ExitCode::failed);
}

}  // namespace
}  // namespace ferula
