// The facts of this machine: files under a root, programs, folders, variables.
#include "app/real_system.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/stopwatch.hpp"
#include "doctor/check.hpp"
#include "doctor/facts_text.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RealSystemFacts : public testing::Test {
 protected:
  RealSystem here(int patience_s = 20) const { return {{.host = "here"}, *files_, "/", patience_s}; }
  RealSystem under(const std::string& root) const { return {{}, *files_, root}; }
  ScratchDirectory scratch_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
};

TEST_F(RealSystemFacts, ReadFilesAndFoldersUnderTheirRoot) {
  scratch_.write("proc/loadavg", "1.5 1 1 1/2 3\n");
  scratch_.write("sys/net/eth0", "");
  scratch_.write("sys/net/ib0", "");
  const RealSystem system = under(scratch_.path());

  EXPECT_EQ(system.file("/proc/loadavg"), "1.5 1 1 1/2 3\n");
  EXPECT_EQ(system.file("/proc/meminfo"), std::nullopt);
  EXPECT_EQ(system.file("/proc"), std::nullopt) << "a folder is no file";
  EXPECT_THAT(system.names("/sys/net"), ElementsAre("eth0", "ib0"));
  EXPECT_THAT(system.names("/sys/none"), ElementsAre());
}

TEST_F(RealSystemFacts, AreThoseOfThisMachine) {
  const RealSystem system = here();

  EXPECT_GT(number_in_file(system, "/proc/loadavg").value_or(-1.0), -1.0);
  EXPECT_THAT(system.file("/proc/self/limits").value_or(""), HasSubstr("Max open files"));
  EXPECT_EQ(system.variable("PATH"), std::string(std::getenv("PATH")));
  EXPECT_EQ(system.variable("FERULA_TEST_NOBODY_SETS_THIS"), std::nullopt);
  EXPECT_NEAR(system.now_s(), static_cast<double>(std::time(nullptr)), 2.0);
}

TEST_F(RealSystemFacts, RunProgramsWithBothOutputsAndTheirCode) {
  const RealSystem system = here();

  const auto told = system.run({"sh", "-c", "echo one; echo two >&2; exit 3"});

  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->text, "one\ntwo\n");
  EXPECT_EQ(told->code, 3);
  EXPECT_FALSE(system.run({"ferula-no-such-program"}).has_value());
}

TEST_F(RealSystemFacts, AskAProgramOnce) {
  const RealSystem system = here();
  const std::vector<std::string> clock{"date", "+%N"};

  EXPECT_EQ(system.run(clock)->text, system.run(clock)->text);
}

TEST_F(RealSystemFacts, EndAProgramThatHangs) {
  const RealSystem system = here(1);

  const auto told = system.run({"sleep", "600"});

  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->code, 124);
}

TEST_F(RealSystemFacts, TryFoldersAndLeaveNothing) {
  const RealSystem system = here();

  EXPECT_EQ(system.write_problem(scratch_.path()), "");
  EXPECT_THAT(system.write_problem(scratch_.path("missing")), HasSubstr("missing"));
  EXPECT_EQ(system.lock_state(scratch_.path()), LockAttempt::State::taken);
  EXPECT_GT(system.free_space(scratch_.path())->bytes, 0);
  EXPECT_FALSE(system.free_space(scratch_.path("missing")).has_value());
  EXPECT_THAT(files_->list(scratch_.path()), ElementsAre());
}

/// The whole table on a machine that tells nothing: no check may stumble.
TEST_F(RealSystemFacts, LetEveryCheckEndWithAVerdict) {
  const RealSystem empty = under(scratch_.path("empty")), real = here();

  for (const Check& check : all_checks())
    for (const RealSystem* system : {&empty, &real}) EXPECT_NO_THROW(check.judge(*system)) << check.name;
}

}  // namespace
}  // namespace ferula
