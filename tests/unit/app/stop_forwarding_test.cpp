// What the launcher passes on of the user's signals, and how long it waits for ranks that do not listen yet.
#include "app/launch/stop_forwarding.hpp"

#include <gtest/gtest.h>

#include <csignal>

#include "app/launch/launch_report.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

constexpr int kRanks = 2;
constexpr double kLongAfter_s = 1000.0;

class StopForwardingTest : public testing::Test {
 protected:
  void listen(int ranks) {
    for (int rank = 0; rank < ranks; ++rank) report_ready(report_);
  }

  ScratchDirectory scratch_;
  std::filesystem::path report_ = scratch_.path("report");
  StopForwarding run_{kRanks, CommandStop::saves, report_};
  StopForwarding command_{kRanks, CommandStop::ends, report_};
};

TEST_F(StopForwardingTest, NothingIsDueBeforeAnybodyAsks) {
  listen(kRanks);

  EXPECT_EQ(run_.due(kLongAfter_s), std::nullopt);
}

TEST_F(StopForwardingTest, ASignalWaitsUntilAllRanksListen) {
  EXPECT_EQ(run_.accept(SIGTERM, 5.0), std::nullopt);
  EXPECT_EQ(run_.due(5.0), std::nullopt);
  listen(1);
  EXPECT_EQ(run_.due(6.0), std::nullopt);
  listen(1);

  EXPECT_EQ(run_.due(7.0), SIGUSR1);
  EXPECT_EQ(run_.due(kLongAfter_s), std::nullopt) << "once";
  EXPECT_FALSE(run_.at_once());
}

TEST_F(StopForwardingTest, RanksThatDoNotListenAfterAWhileAreEnded) {
  run_.accept(SIGUSR1, 5.0);
  listen(kRanks - 1);

  EXPECT_EQ(run_.due(5.0 + kStopPatience - 0.1), std::nullopt);
  EXPECT_EQ(run_.due(5.0 + kStopPatience), SIGTERM);
  EXPECT_EQ(run_.due(kLongAfter_s), std::nullopt) << "once";
  EXPECT_TRUE(run_.at_once());
  EXPECT_FALSE(run_.interrupted());
}

TEST_F(StopForwardingTest, ALaterSignalDoesNotStartTheWaitAnew) {
  run_.accept(SIGUSR1, 0.0);
  run_.accept(SIGTERM, kStopPatience - 1.0);

  EXPECT_EQ(run_.due(kStopPatience), SIGTERM);
}

TEST_F(StopForwardingTest, RanksThatListenInTimeMaySaveAsLongAsTheyNeed) {
  listen(kRanks);
  run_.accept(SIGTERM, 0.0);
  EXPECT_EQ(run_.due(0.1), SIGUSR1);

  EXPECT_EQ(run_.accept(SIGTERM, kLongAfter_s), std::nullopt);
  EXPECT_EQ(run_.due(2 * kLongAfter_s), std::nullopt);
}

TEST_F(StopForwardingTest, OnlyASecondInterruptEndsARun) {
  EXPECT_EQ(run_.accept(SIGTERM, 0.0), std::nullopt);
  EXPECT_EQ(run_.accept(SIGINT, 1.0), std::nullopt);
  EXPECT_TRUE(read_launch_report(report_).is_interrupted);
  EXPECT_FALSE(run_.at_once());

  EXPECT_EQ(run_.accept(SIGINT, 2.0), SIGTERM);
  EXPECT_EQ(run_.accept(SIGINT, 3.0), SIGKILL);
  EXPECT_TRUE(run_.interrupted());
  EXPECT_TRUE(run_.at_once());
}

TEST_F(StopForwardingTest, WhatHasNothingToSaveEndsAtOnce) {
  EXPECT_EQ(command_.accept(SIGUSR1, 0.0), std::nullopt);
  EXPECT_EQ(command_.accept(SIGTERM, 1.0), SIGTERM);
  EXPECT_EQ(command_.accept(SIGHUP, 2.0), SIGKILL);
  EXPECT_EQ(command_.due(kLongAfter_s), std::nullopt);
}

}  // namespace
}  // namespace ferula
