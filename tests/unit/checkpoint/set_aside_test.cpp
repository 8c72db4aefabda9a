// A run that goes back to an older checkpoint: what was newer is neither lost nor taken for the newest.
#include "checkpoint/set_aside.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/verify.hpp"
#include "checkpoint_run.hpp"

namespace ferula {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

std::string latest_of(CheckpointRun& run) { return read_file(run.files(), run.folder() + "/latest", 100); }

TEST(SetAside, NewerOnesGetAnotherNameAndLatestFollows) {
  CheckpointRun run;
  for (const std::int64_t step : {1, 2, 3}) run.save({1}, step);

  const std::vector<std::string> moved = set_newer_aside(run.files(), run.folder(), 1, kAbandonedPrefix);

  EXPECT_THAT(run.names(), ElementsAre(StartsWith("abandoned-step-00000002-"), StartsWith("abandoned-step-00000003-"),
                                       "latest", "step-00000001"));
  EXPECT_EQ(latest_of(run), "step-00000001\n");
  EXPECT_EQ(find_checkpoint(run.files(), run.folder()), run.checkpoint(1));
  EXPECT_EQ(run.load_newest({1})->state.step, 1);
  ASSERT_THAT(moved, SizeIs(2));
  EXPECT_TRUE(verify_checkpoint(run.files(), moved[1]).good());
  EXPECT_THAT(set_aside_in(run.files(), run.folder()), SizeIs(2));
}

TEST(SetAside, WhereNothingIsNewerNothingChanges) {
  CheckpointRun run;
  run.save({1}, 1);

  EXPECT_THAT(set_newer_aside(run.files(), run.folder(), 1, kAbandonedPrefix), IsEmpty());
  EXPECT_THAT(set_newer_aside(run.files(), run.folder() + "-that-is-not-there", 1, kAbandonedPrefix), IsEmpty());
  EXPECT_THAT(run.names(), ElementsAre("latest", "step-00000001"));
}

TEST(SetAside, WithoutAnyLeftThereIsNoLatest) {
  CheckpointRun run;
  run.save({1}, 5);

  set_newer_aside(run.files(), run.folder(), 4, kDamagedPrefix);

  EXPECT_THAT(run.names(), ElementsAre(StartsWith("damaged-step-00000005-")));
}

TEST(SetAside, RetentionCountsTheNewBranchAlone) {
  CheckpointRun run;
  for (const std::int64_t step : {5, 10, 15}) run.save({1}, step);
  set_newer_aside(run.files(), run.folder(), 5, kAbandonedPrefix);

  EXPECT_TRUE(run.save({1}, 6, {.keep_last = 1}).committed);

  EXPECT_THAT(run.names(), ElementsAre(StartsWith("abandoned-step-00000010-"), StartsWith("abandoned-step-00000015-"),
                                       "latest", "step-00000006"));
}

TEST(Retention, NeverTakesTheOneThatWasJustSaved) {
  CheckpointRun run;
  for (const std::int64_t step : {5, 10}) run.save({1}, step);

  EXPECT_TRUE(run.save({1}, 6, {.keep_last = 1}).committed);

  EXPECT_THAT(run.names(), ElementsAre("latest", "step-00000006", "step-00000010"));
}

}  // namespace
}  // namespace ferula
