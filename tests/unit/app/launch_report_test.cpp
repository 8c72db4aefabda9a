// What the launcher reads of the ranks' reports.
#include "app/launch/launch_report.hpp"

#include <gtest/gtest.h>

#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

class LaunchReportTest : public testing::Test {
 protected:
  void end(std::initializer_list<ExitCode> codes) {
    for (const ExitCode code : codes) report_end(path_, code);
  }

  ScratchDirectory scratch_;
  std::filesystem::path path_ = scratch_.path("report");
};

TEST_F(LaunchReportTest, CountsRanksThatListenAndThatEnded) {
  report_ready(path_);
  report_ready(path_);
  end({ExitCode::done});

  const LaunchReport report = read_launch_report(path_);

  EXPECT_EQ(report.ready, 2);
  EXPECT_EQ(report.ended, 1);
  EXPECT_FALSE(report.error);
  EXPECT_EQ(report.success, ExitCode::done);
}

TEST_F(LaunchReportTest, TheFirstErrorIsTheJobs) {
  end({ExitCode::done, ExitCode::does_not_fit, ExitCode::failed});

  EXPECT_EQ(read_launch_report(path_).error, ExitCode::does_not_fit);
}

TEST_F(LaunchReportTest, ASaveOfAnyRankAsksForAResume) {
  end({ExitCode::resume_me, ExitCode::done});
  EXPECT_EQ(read_launch_report(path_).success, ExitCode::resume_me);

  end({ExitCode::interrupted});
  EXPECT_EQ(read_launch_report(path_).success, ExitCode::interrupted);
}

TEST_F(LaunchReportTest, ACtrlCIsNoEndOfARank) {
  report_ready(path_);
  EXPECT_FALSE(read_launch_report(path_).is_interrupted);

  report_interrupt(path_);

  EXPECT_TRUE(read_launch_report(path_).is_interrupted);
  EXPECT_EQ(read_launch_report(path_).ready, 1);
  EXPECT_EQ(read_launch_report(path_).ended, 0);
}

TEST_F(LaunchReportTest, NobodyHasReportedWhereThereIsNoFile) {
  const LaunchReport report = read_launch_report(path_);

  EXPECT_EQ(report.ready, 0);
  EXPECT_EQ(report.ended, 0);
}

TEST_F(LaunchReportTest, AnEmptyPathReportsToNobody) {
  report_ready({});
  report_end({}, ExitCode::failed);

  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace ferula
