// One job at a time in a run's directory.
#include "app/run_entry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/passing_file_system.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

/// The disk, but for locks: as Lustre without `-o flock`.
class NoLocks final : public PassingFileSystem {
 public:
  using PassingFileSystem::PassingFileSystem;
  LockAttempt try_lock(const std::string&, std::string_view) override {
    return {.state = LockAttempt::State::unsupported, .note = "Function not implemented"};
  }
};

class RunEntry : public testing::Test {
 protected:
  std::unique_ptr<FileLock> enter() { return enter_run(*files_, directory_, log_); }
  ScratchDirectory scratch_;
  RunDirectory directory_{scratch_.path("run")};
  std::unique_ptr<FileSystem> disk_ = make_posix_file_system();
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  Log log_{LogVoice::speaks, LogConsole::plain};
};

TEST_F(RunEntry, ASecondJobIsToldWhoIsThere) {
  const std::unique_ptr<FileLock> first = enter();

  EXPECT_THAT([&] { enter(); },
              ThrowsMessage<DeviceError>(AllOf(HasSubstr(fmt::format("in use by process {} on ", getpid())),
                                               HasSubstr("since 20"), HasSubstr("nothing was changed"))));
}

TEST_F(RunEntry, TheRunIsFreeWhenTheFirstJobEnds) {
  enter();

  EXPECT_TRUE(enter());
  EXPECT_THAT(files_->list(directory_.root.string()), testing::IsEmpty());
}

TEST_F(RunEntry, AnEarlierRunIsMovedAsideAndTheNewOneIsLockedInstead) {
  std::unique_ptr<FileLock> lock = enter();
  write_file_atomically(*files_, directory_.metrics().string(), "old\n", Replace::never);

  replace_run(*files_, directory_, lock, log_);

  EXPECT_THAT(files_->list(scratch_.path("run.old-1")), testing::ElementsAre("metrics.jsonl"));
  EXPECT_THAT(files_->list(directory_.root.string()), testing::ElementsAre("lock"));
  EXPECT_THROW(enter(), DeviceError);
  lock.reset();
  EXPECT_TRUE(enter());
}

TEST_F(RunEntry, APlaceThatCannotBeMadeNamesTheSetting) {
  scratch_.write("file", "no folder");
  directory_ = {scratch_.path("file/run")};

  EXPECT_THAT([&] { enter(); }, ThrowsMessage<DeviceError>(AllOf(HasSubstr("file/run: cannot make the directory"),
                                                                 HasSubstr("set [run] output_dir"))));
}

TEST_F(RunEntry, AFileSystemWithoutLocksIsAWarning) {
  files_ = std::make_unique<NoLocks>(*disk_);
  testing::internal::CaptureStderr();

  std::unique_ptr<FileLock> lock = enter();
  EXPECT_FALSE(lock);
  replace_run(*files_, directory_, lock, log_);

  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_THAT(told, HasSubstr("has no locks (Function not implemented)"));
  EXPECT_EQ(told.find("no locks"), told.rfind("no locks")) << "once";
}

}  // namespace
}  // namespace ferula
