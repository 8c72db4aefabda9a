// What is said before a run whose directory is too small, and of one in the wrong place.
#include "app/jobs/storage_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/real_system.hpp"
#include "support/message_of.hpp"
#include "support/passing_file_system.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using test::message_of;
using testing::AllOf;
using testing::HasSubstr;

class TightFileSystem final : public PassingFileSystem {
 public:
  TightFileSystem(FileSystem& real, FreeSpace left) : PassingFileSystem(real), left_(left) {}
  FreeSpace free_space(const std::string&) override { return left_; }

 private:
  FreeSpace left_;
};

constexpr FreeSpace kWhole{.bytes = 3 << 20, .files = 30}, kLeast{.bytes = 1 << 20, .files = 10};
const RunStorage kStorage{.need = {.whole = kWhole, .least = kLeast}, .words = "3 checkpoints of 1.00 MiB"};

std::string problem_with(FreeSpace left) {
  const std::unique_ptr<FileSystem> real = make_posix_file_system();
  TightFileSystem files(*real, left);
  return storage_problem(RealSystem({}, files), kStorage, "/runs/new");
}

TEST(StorageCheck, IsSilentWhereAllFits) { EXPECT_EQ(problem_with(kWhole), ""); }

TEST(StorageCheck, WarnsWithTheNumbersWhereNotAllCheckpointsFit) {
  EXPECT_THAT(problem_with({.bytes = 2 << 20, .files = 1000}),
              AllOf(HasSubstr("3 checkpoints of 1.00 MiB"), HasSubstr("room for 2.00 MiB (the file system)"),
                    HasSubstr("keep_last")));
  EXPECT_THAT(problem_with({.bytes = 1 << 30, .files = 29}), HasSubstr("29 files"));
}

TEST(StorageCheck, RefusesWhereNotOneCheckpointFits) {
  EXPECT_THAT(message_of<CapacityError>([] { problem_with({.bytes = 1000, .files = 1000}); }),
              HasSubstr("not one checkpoint fits"));
  EXPECT_THROW(problem_with({.bytes = 1 << 30, .files = 9}), CapacityError);
}

TEST(StorageCheck, CountsEveryRunOfAnArray) {
  const RunStorage all = kStorage.of_runs(4);

  EXPECT_EQ(all.need.whole.bytes, 4 * kWhole.bytes);
  EXPECT_EQ(all.need.least.bytes, kLeast.bytes);
  EXPECT_THAT(all.words, HasSubstr("4 runs"));
}

TEST(StorageCheck, KnowsWhereTheClusterWantsNoData) {
  const ClusterProfile profile{.name = "test", .home = "/home", .work = "/work/<group>"};

  EXPECT_THAT(place_problem(profile, "/home/ada/runs/my"), HasSubstr("/work/<group>"));
  EXPECT_EQ(place_problem(profile, "/homely/my"), "");
  EXPECT_EQ(place_problem({}, "/home/ada/runs/my"), "");
}

TEST(StorageCheck, MissesTextThatIsNotThere) {
  const ScratchDirectory scratch;
  scratch.write("a.txt", "text");

  EXPECT_EQ(missing_text({.text = {scratch.path("a.txt"), scratch.path("*.txt"), scratch.path()}}), "");
  EXPECT_THAT(missing_text({.text = {scratch.path("a.txt"), scratch.path("*.md")}}), HasSubstr("*.md"));
}

}  // namespace
}  // namespace ferula
