// Who speaks, where lines go, and what a progress line does on a terminal.
#include "base/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

std::string content_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Log, WritesLinesToTheTerminalAndTimedLinesToTheFile) {
  const ScratchDirectory scratch;
  const std::string path = scratch.path("log.txt");
  testing::internal::CaptureStdout();
  {
    Log log(LogVoice::speaks, LogConsole::plain);
    log.open_file(path);
    log.info("a {brace} is text");
  }

  EXPECT_EQ(testing::internal::GetCapturedStdout(), "a {brace} is text\n");
  EXPECT_THAT(content_of(path), MatchesRegex("[0-9-]+ [0-9:.]+  a .brace. is text\n"));
}

TEST(Log, AResultThatCannotBeWrittenIsAnErrorAndAnyOtherLineIsNot) {
  EXPECT_EXIT(
      {
        std::freopen("/dev/full", "w", stdout);
        Log log(LogVoice::speaks, LogConsole::plain);
        log.info("text");
        try {
          log.result("text");
        } catch (const CapacityError& error) {
          std::fprintf(stderr, "%s", error.what());
          std::_Exit(3);
        }
      },
      testing::ExitedWithCode(3), "cannot write the output: No space left on device");
}

TEST(Log, IsQuietOnOtherRanks) {
  const ScratchDirectory scratch;
  const std::string path = scratch.path("log.txt");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  {
    Log log(LogVoice::silent, LogConsole::interactive);
    log.open_file(path);
    log.info("text");
    log.warning("text");
    log.progress("text");
  }

  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Log, RewritesTheProgressLineInPlaceOnATerminal) {
  testing::internal::CaptureStdout();
  {
    Log log(LogVoice::speaks, LogConsole::interactive);
    log.progress("step 1/2");
    log.progress("step 2/2");
    log.info("done");
    log.progress("last");
  }

  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            "\r\x1b[Kstep 1/2"
            "\r\x1b[Kstep 2/2\n"
            "done\n"
            "\r\x1b[Klast\n");
}

TEST(Log, KeepsEveryProgressLineWhereOutputIsPlain) {
  testing::internal::CaptureStdout();
  {
    Log log(LogVoice::speaks, LogConsole::plain);
    log.progress("step 1/2");
    log.progress("step 2/2");
  }

  EXPECT_EQ(testing::internal::GetCapturedStdout(), "step 1/2\nstep 2/2\n");
}

TEST(Log, PrintsWarningsOnStandardError) {
  testing::internal::CaptureStderr();
  {
    Log log(LogVoice::speaks, LogConsole::plain);
    log.warning("the disk is slow");
  }

  EXPECT_EQ(testing::internal::GetCapturedStderr(), "warning: the disk is slow\n");
}

TEST(Log, RecordsInTheFileWhatTheTerminalHearsFromOthers) {
  const ScratchDirectory scratch;
  const std::string path = scratch.path("log.txt");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  {
    Log log(LogVoice::speaks, LogConsole::plain);
    log.record("before there is a file");
    log.open_file(path);
    log.record("error: the end");
  }

  EXPECT_EQ(testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr(), "");
  EXPECT_THAT(content_of(path), MatchesRegex("[-0-9]+ [:.0-9]+  error: the end\n"));
}

TEST(Log, NamesAFileThatCannotBeWritten) {
  Log log(LogVoice::speaks, LogConsole::plain);

  try {
    log.open_file("/proc/ferula/log.txt");
    FAIL() << "accepted";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("/proc/ferula/log.txt"));
  }
}

}  // namespace
}  // namespace ferula
