// Files of the operating system: atomic writing, renaming without replacing, errors by kind.
#include "storage/file_system.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <fstream>
#include <sstream>

#include "device/cpu_stream.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class FileSystemTest : public testing::Test {
 protected:
  std::string content_of(const std::string& name) { return read_file(*files_, scratch_.path(name), 1000); }
  ScratchDirectory scratch_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
};

TEST_F(FileSystemTest, AtomicWriteLeavesOnlyTheFile) {
  write_file_atomically(*files_, scratch_.path("note"), "first", Replace::never);
  write_file_atomically(*files_, scratch_.path("note"), "second", Replace::existing);

  EXPECT_EQ(content_of("note"), "second");
  EXPECT_THAT(files_->list(scratch_.path()), ElementsAre("note"));
}

TEST_F(FileSystemTest, AtomicWriteOvercomesALeftOver) {
  std::ofstream(scratch_.path("note.unfinished")) << "left by a process that died";
  write_file_atomically(*files_, scratch_.path("note"), "new", Replace::never);

  EXPECT_EQ(content_of("note"), "new");
}

TEST_F(FileSystemTest, RenameDoesNotReplace) {
  write_file_atomically(*files_, scratch_.path("old"), "old", Replace::never);
  files_->make_directory(scratch_.path("a"));
  files_->make_directory(scratch_.path("b"));

  EXPECT_THROW(write_file_atomically(*files_, scratch_.path("old"), "new", Replace::never), DeviceError);
  EXPECT_THROW(files_->rename(scratch_.path("a"), scratch_.path("b"), Replace::never), DeviceError);
  EXPECT_EQ(content_of("old"), "old");
}

TEST_F(FileSystemTest, CreateRefusesAnExistingFile) {
  files_->open(scratch_.path("file"), OpenMode::create);
  EXPECT_THROW(files_->open(scratch_.path("file"), OpenMode::create), DeviceError);
}

TEST_F(FileSystemTest, StartedTransfersRunInTheOrderOfTheirStream) {
  const std::unique_ptr<File> file = files_->open(scratch_.path("file"), OpenMode::create);
  ThreadStream disk("disk");
  std::array<char, 4> read{};

  file->start_write(disk, 0, bytes_of_text("one two"));
  file->start_write(disk, 4, bytes_of_text("six"));
  file->start_sync(disk);
  file->start_read(disk, 3, std::as_writable_bytes(std::span(read)));
  disk.synchronize();

  EXPECT_EQ(std::string_view(read.data(), read.size()), " six");
}

TEST_F(FileSystemTest, AFailedTransferComesOutOfItsStreamAndStopsTheNext) {
  std::ofstream(scratch_.path("short")) << "four";
  const std::unique_ptr<File> file = files_->open(scratch_.path("short"), OpenMode::update);
  std::array<std::byte, 8> target{};
  ThreadStream disk("disk");

  file->start_read(disk, 0, target);
  EXPECT_THROW(disk.synchronize(), DamageError);
  EXPECT_THROW(file->start_write(disk, 0, bytes_of_text("late")), DamageError);

  EXPECT_EQ(content_of("short"), "four");
}

TEST_F(FileSystemTest, MissingAndShortFilesAreDamage) {
  EXPECT_THAT([&] { files_->open(scratch_.path("none"), OpenMode::read); },
              ThrowsMessage<DamageError>(HasSubstr("none: cannot open: No such file")));
  std::ofstream(scratch_.path("short")) << "four";
  std::array<std::byte, 8> target{};
  EXPECT_THAT([&] { files_->open(scratch_.path("short"), OpenMode::read)->read_at(0, target); },
              ThrowsMessage<DamageError>(HasSubstr("expected 8 bytes at byte 0, found the end of the file at 4")));
}

TEST_F(FileSystemTest, FullDiskIsACapacityError) {
  const auto full = files_->open("/dev/full", OpenMode::update);
  EXPECT_THAT([&] { full->write_at(0, bytes_of_text("x")); },
              ThrowsMessage<CapacityError>(HasSubstr("No space left on device")));
}

TEST_F(FileSystemTest, RemovesTreesAndMissingThings) {
  files_->make_directory(scratch_.path("a/b/c"));
  std::ofstream(scratch_.path("a/b/file")) << "x";

  files_->remove(scratch_.path("a"));
  files_->remove(scratch_.path("a"));

  EXPECT_FALSE(files_->exists(scratch_.path("a")));
  EXPECT_TRUE(files_->list(scratch_.path("a")).empty());
}

TEST_F(FileSystemTest, KnowsTheFreeSpace) {
  EXPECT_GT(files_->free_space(scratch_.path()).bytes, 0);
  EXPECT_GT(files_->free_space(scratch_.path()).files, 0);
}

TEST_F(FileSystemTest, ReadFileHasALimit) {
  std::ofstream(scratch_.path("large")) << std::string(1001, 'x');
  EXPECT_THAT([&] { content_of("large"); }, ThrowsMessage<DataError>(HasSubstr("at most 1000 bytes, found 1001")));
}

TEST_F(FileSystemTest, ALockedFileTellsWhoHasItAndGoesWithTheLock) {
  LockAttempt first = files_->try_lock(scratch_.path("lock"), "the first job");
  ASSERT_EQ(first.state, LockAttempt::State::taken);

  const LockAttempt second = files_->try_lock(scratch_.path("lock"), "the second job");
  EXPECT_EQ(second.state, LockAttempt::State::busy);
  EXPECT_EQ(second.note, "the first job");
  first.lock.reset();

  EXPECT_FALSE(files_->exists(scratch_.path("lock")));
  EXPECT_EQ(files_->try_lock(scratch_.path("lock"), "a third job").state, LockAttempt::State::taken);
}

TEST_F(FileSystemTest, ALockDiesWithItsProcess) {
  const pid_t child = fork();
  if (child == 0) {
    const LockAttempt attempt = files_->try_lock(scratch_.path("lock"), "a job that is killed");
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
  ASSERT_EQ(content_of("lock"), "a job that is killed");

  const LockAttempt next = files_->try_lock(scratch_.path("lock"), "next");

  EXPECT_EQ(next.state, LockAttempt::State::taken);
  EXPECT_EQ(content_of("lock"), "next");
}

TEST_F(FileSystemTest, ALockOfAFolderThatMovedAwaySparesItsSuccessor) {
  files_->make_directory(scratch_.path("run"));
  LockAttempt old = files_->try_lock(scratch_.path("run/lock"), "old");
  files_->rename(scratch_.path("run"), scratch_.path("away"), Replace::never);
  files_->make_directory(scratch_.path("run"));

  const LockAttempt successor = files_->try_lock(scratch_.path("run/lock"), "successor");
  old.lock.reset();

  EXPECT_EQ(successor.state, LockAttempt::State::taken);
  EXPECT_EQ(content_of("run/lock"), "successor");
}

TEST(Paths, JoinAndParent) {
  EXPECT_EQ(join_path("/", "a"), "/a");
  EXPECT_EQ(join_path("a/b", "c"), "a/b/c");
  EXPECT_EQ(parent_of("a/b"), "a");
  EXPECT_EQ(parent_of("/a"), "/");
  EXPECT_EQ(parent_of("a"), ".");
}

}  // namespace
}  // namespace ferula
