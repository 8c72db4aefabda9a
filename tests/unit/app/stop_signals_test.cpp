// Which signal asks for what.
#include "app/launch/stop_signals.hpp"

#include <gtest/gtest.h>

#include <csignal>

#include "app/launch/launch_report.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

/// Whoever started the tests in the background of a shell has told them to ignore SIGINT.
class ListeningProcess : public testing::Test {
 protected:
  void SetUp() override {
    for (const int signal : {SIGUSR1, SIGTERM, SIGHUP, SIGINT}) std::signal(signal, SIG_DFL);
  }
};
using ListeningProcessDeathTest = ListeningProcess;

TEST_F(ListeningProcess, NobodyAsksAtTheBeginning) {
  EXPECT_EQ(StopSignals().asked(), ExitCode::done);
  EXPECT_EQ(NoStopRequest().asked(), ExitCode::done);
}

TEST_F(ListeningProcess, Usr1AndTermAskForAResume) {
  for (const int signal : {SIGUSR1, SIGTERM, SIGHUP}) {
    const StopSignals signals;

    std::raise(signal);

    EXPECT_EQ(signals.asked(), ExitCode::resume_me);
  }
}

TEST_F(ListeningProcess, TheFirstInterruptAsksToo) {
  const StopSignals signals;

  std::raise(SIGUSR1);
  std::raise(SIGINT);

  EXPECT_EQ(signals.asked(), ExitCode::interrupted);
}

TEST_F(ListeningProcess, AnInterruptIsNotForgottenForATerm) {
  const StopSignals signals;

  std::raise(SIGINT);
  std::raise(SIGTERM);

  EXPECT_EQ(signals.asked(), ExitCode::interrupted);
}

TEST_F(ListeningProcessDeathTest, TheSecondInterruptEndsTheProgram) {
  EXPECT_EXIT(
      {
        const StopSignals signals;
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      testing::KilledBySignal(SIGINT), "");
}

TEST_F(ListeningProcess, LeaveAnIgnoredHangUpIgnoredAndSurviveABrokenPipe) {
  const auto before = std::signal(SIGHUP, SIG_IGN);
  {
    const StopSignals signals;

    std::raise(SIGHUP);
    std::raise(SIGPIPE);

    EXPECT_EQ(signals.asked(), ExitCode::done);
  }
  std::signal(SIGHUP, before);
}

TEST_F(ListeningProcess, TheLauncherSaysThatASignalWasACtrlC) {
  const ScratchDirectory scratch;
  const std::filesystem::path report = scratch.path("report");
  const StopSignals signals(report);
  std::raise(SIGUSR1);
  EXPECT_EQ(signals.asked(), ExitCode::resume_me);

  report_interrupt(report);

  EXPECT_EQ(signals.asked(), ExitCode::interrupted);
}

TEST_F(ListeningProcess, GivesTheSignalsBackAtItsEnd) {
  struct sigaction before {};
  sigaction(SIGTERM, nullptr, &before);
  { const StopSignals signals; }
  struct sigaction after {};
  sigaction(SIGTERM, nullptr, &after);

  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

}  // namespace
}  // namespace ferula
