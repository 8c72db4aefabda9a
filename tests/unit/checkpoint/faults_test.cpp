// A save that fails at any operation of any rank loses nothing and leaves nothing half done under a checkpoint's name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/verify.hpp"
#include "checkpoint_run.hpp"
#include "faulty_file_system.hpp"
#include "support/passing_file_system.hpp"

namespace ferula {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// Saves step 2 on two ranks, of which `faulty` fails at operation `at`. The result, and whether the fault was reached.
std::pair<SaveResult, bool> save_with_fault(CheckpointRun& run, int faulty, std::int64_t at, Fault fault) {
  FaultyFileSystem broken(run.files(), at, fault);
  const SaveResult result = run.save({2, 1}, 2, {.keep_last = 2},
                                     [&](int rank) -> FileSystem& { return rank == faulty ? broken : run.files(); });
  return {result, broken.failed()};
}

/// What must hold after a save of step 2, however it ended.
void expect_nothing_is_lost(CheckpointRun& run, const SaveResult& result) {
  EXPECT_EQ(result.committed, run.files().exists(run.checkpoint(2))) << result.problem;
  if (result.committed) EXPECT_TRUE(verify_checkpoint(run.files(), run.checkpoint(2)).good());
  EXPECT_TRUE(verify_checkpoint(run.files(), run.checkpoint(1)).good());
  const auto loaded = run.load_newest({1, 1, 1});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->state.step, result.committed ? 2 : 1);
  EXPECT_TRUE(loaded->warnings.empty());
}

/// A new run begins: it cleans up, and the same step can be saved unless it is there already.
void expect_next_run_goes_on(CheckpointRun& run, bool committed) {
  run_fake_ranks(2, [&](FakeRank& rank) {
    CheckpointWriter(run.folder(), {}, run.files(), rank.world, rank.device, rank.stream).start();
  });
  EXPECT_THAT(run.names(), Not(Contains(StartsWith("."))));
  if (!committed) EXPECT_TRUE(run.save({1}, 2).committed);
}

/// Small state: the faults of interest are in the order of operations.
void try_every_operation(int faulty, Fault fault) {
  for (std::int64_t at = 0;; ++at) {
    SCOPED_TRACE(fmt::format("rank {} fails at operation {}", faulty, at));
    CheckpointRun run;
    ASSERT_TRUE(run.save({1}, 1).committed);
    const auto [result, reached] = save_with_fault(run, faulty, at, fault);
    if (!reached) {
      EXPECT_GT(at, faulty == 0 ? 30 : 8) << "operations of a save";
      EXPECT_TRUE(result.committed) << result.problem;
      return;
    }
    EXPECT_THAT(result.problem, HasSubstr(fmt::format("rank {} of 2: ", faulty)));
    EXPECT_THAT(result.problem, HasSubstr("planted fault"));
    expect_nothing_is_lost(run, result);
    expect_next_run_goes_on(run, result.committed);
  }
}

TEST(SaveWithFaults, ErrorOfTheFirstRankLosesNothing) { try_every_operation(0, Fault::one_error); }
TEST(SaveWithFaults, ErrorOfAnotherRankLosesNothing) { try_every_operation(1, Fault::one_error); }
TEST(SaveWithFaults, DeathOfTheFirstRankLosesNothing) { try_every_operation(0, Fault::death); }
TEST(SaveWithFaults, DeathOfAnotherRankLosesNothing) { try_every_operation(1, Fault::death); }

TEST(SaveRefuses, AStepThatHasAGoodCheckpoint) {
  CheckpointRun run;
  run.save({1}, 1);
  const SaveResult again = run.save({1, 1}, 1);

  EXPECT_FALSE(again.committed);
  EXPECT_THAT(again.problem, HasSubstr("a good checkpoint of this step exists"));
  EXPECT_TRUE(verify_checkpoint(run.files(), run.checkpoint(1)).good());
}

TEST(SaveSetsAside, ADamagedCheckpointOfTheSameStep) {
  CheckpointRun run;
  run.save({1}, 1);
  run.files().remove(run.checkpoint(1) + "/shard-00000.h5");

  EXPECT_TRUE(run.save({1}, 1).committed);
  EXPECT_THAT(run.names(), Contains(StartsWith("damaged-step-00000001-")));
  EXPECT_TRUE(verify_checkpoint(run.files(), run.checkpoint(1)).good());
}

/// Reports a disk with less room.
class SmallDisk final : public PassingFileSystem {
 public:
  SmallDisk(FileSystem& real, FreeSpace room) : PassingFileSystem(real), room_(room) {}
  FreeSpace free_space(const std::string&) override { return room_; }

 private:
  FreeSpace room_;
};

TEST(SaveRefuses, ADiskWithoutRoomBeforeItWrites) {
  constexpr std::int64_t kPlenty = std::numeric_limits<std::int64_t>::max();
  for (const FreeSpace room : {FreeSpace{.bytes = 1000, .files = kPlenty}, FreeSpace{.bytes = kPlenty, .files = 3}}) {
    CheckpointRun run;
    SmallDisk disk(run.files(), room);
    const SaveResult result = run.save({1, 1}, 1, {}, [&](int) -> FileSystem& { return disk; });

    EXPECT_FALSE(result.committed);
    EXPECT_THAT(result.problem, HasSubstr("expected room for"));
    EXPECT_TRUE(run.names().empty());
  }
}

TEST(SaveRefuses, PiecesThatDoNotCoverTheTensors) {
  CheckpointRun run;
  run_fake_ranks(2, [&](FakeRank& rank) {
    FakeState state({1, 1}, 0);  // both ranks give the first half
    CheckpointWriter writer(run.folder(), {}, run.files(), rank.world, rank.device, rank.stream);
    const SaveResult result = writer.save(state.pieces(), CheckpointRun::request(1));
    EXPECT_FALSE(result.committed);
    EXPECT_THAT(result.problem, HasSubstr("are stored twice"));
  });
  EXPECT_TRUE(run.names().empty());
}

TEST(Retention, KeepsTheNewestAndEverySoMany) {
  const std::vector<std::int64_t> steps{5, 10, 15, 20, 25};
  EXPECT_THAT(steps_to_delete(steps, {.keep_last = 0}), ElementsAre());
  EXPECT_THAT(steps_to_delete(steps, {.keep_last = 1}), ElementsAre(5, 10, 15, 20));
  EXPECT_THAT(steps_to_delete(steps, {.keep_last = 2, .keep_every = 10}), ElementsAre(5, 15));
  EXPECT_THAT(steps_to_delete(steps, {.keep_last = 9}), ElementsAre());
  EXPECT_THAT(steps_to_delete({}, {.keep_last = 1}), ElementsAre());
}

TEST(Retention, DamagedOnesNeitherCountNorGo) {
  CheckpointRun run;
  for (std::int64_t step = 1; step <= 3; ++step) run.save({1}, step);
  run.files().remove(run.checkpoint(3) + "/MANIFEST.json");

  apply_retention(run.files(), run.folder(), {.keep_last = 1}, 3);

  EXPECT_THAT(run.names(), ElementsAre("latest", "step-00000002", "step-00000003"));
}

}  // namespace
}  // namespace ferula
