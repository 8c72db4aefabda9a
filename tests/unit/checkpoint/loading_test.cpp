// Which checkpoint is meant, what does not fit, and what the lists say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/checkpoint_report.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint_run.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::ThrowsMessage;

TEST(Names, OfStepsComeBack) {
  EXPECT_EQ(step_name(1000), "step-00001000");
  EXPECT_EQ(step_of_name("step-00001000"), 1000);
  EXPECT_EQ(step_of_name(step_name(1'234'567'890)), 1'234'567'890);
  for (const char* other : {"step-1000", "step-", "step-0000100x", "latest", ".saving-1-00000000", "step--0000001"})
    EXPECT_FALSE(step_of_name(other)) << other;
}

TEST(Loading, EmptyFolderHasNothing) {
  CheckpointRun run;
  run.files().make_directory(run.folder());

  EXPECT_FALSE(run.load_newest({1, 1}));
  EXPECT_TRUE(list_checkpoints(run.files(), run.folder()).empty());
}

TEST(Loading, NewestOfTenIsNotTheFirstInTheAlphabet) {
  CheckpointRun run;
  for (const std::int64_t step : {99'999'999, 100'000'000}) run.save({1}, step);
  EXPECT_EQ(run.load_newest({1})->state.step, 100'000'000);
}

TEST(Loading, MismatchesAreNamedAllAtOnceAndAreNoDamage) {
  CheckpointRun run;
  run.save({1}, 1);
  run.save({1}, 2);
  const auto load = [&] {
    run_fake_ranks(2, [&](FakeRank& rank) {
      FakeState state({1, 1}, rank.rank);
      std::vector<OwnedPiece> wanted = state.pieces();
      for (OwnedPiece& piece : wanted)
        if (piece.tensor == "embedding.weight") piece.global_shape = {303, 707};
      wanted.back().tensor = "blocks.9.norm.weight";
      wanted.push_back(state.pieces().back());
      wanted.back().role = "momentum";
      wanted.push_back(state.pieces().back());
      wanted.back().data = {wanted.back().data.data, DType::bf16, {wanted.back().data.count()}};
      load_newest({.files = run.files(), .world = rank.world, .device = rank.device, .stream = rank.stream},
                  run.folder(), wanted, ReadScope::everything);
    });
  };
  EXPECT_THAT(load, ThrowsMessage<DataError>(
                        AllOf(HasSubstr("step-00000002: this checkpoint does not fit"),
                              HasSubstr("embedding.weight: the model has [303, 707], the checkpoint [301, 707]"),
                              HasSubstr("blocks.9.norm.weight: not in the checkpoint"), HasSubstr("has no momentum"),
                              HasSubstr("the model has bf16, the checkpoint f32"))));
}

TEST(Loading, FindsTheCheckpointThatIsMeant) {
  CheckpointRun run;
  run.save({1}, 1);
  run.save({1}, 2);
  FileSystem& files = run.files();

  EXPECT_EQ(find_checkpoint(files, run.checkpoint(1)), run.checkpoint(1));
  EXPECT_EQ(find_checkpoint(files, run.folder()), run.checkpoint(2));
  EXPECT_EQ(find_checkpoint(files, parent_of(run.folder())), run.checkpoint(2));
  EXPECT_THAT([&] { find_checkpoint(files, run.checkpoint(1) + "/index.h5"); },
              ThrowsMessage<DataError>(HasSubstr("a checkpoint is a folder, not a file")));
  EXPECT_THAT([&] { find_checkpoint(files, "/nowhere"); }, ThrowsMessage<DataError>(HasSubstr("found nothing")));
  files.make_directory(run.folder() + "/empty");
  EXPECT_THAT([&] { find_checkpoint(files, run.folder() + "/empty"); },
              ThrowsMessage<DataError>(HasSubstr("found neither")));
}

TEST(Loading, AnUnfinishedSaveIsNeverLoaded) {
  CheckpointRun run;
  run.save({1}, 1);
  std::filesystem::copy(run.checkpoint(1), run.folder() + "/.saving-5-0000abcd",
                        std::filesystem::copy_options::recursive);

  EXPECT_EQ(run.load_newest({1})->state.step, 1);
  EXPECT_THAT(list_checkpoints(run.files(), run.folder()), SizeIs(1));
}

TEST(Report, ListsGoodAndDamagedOnes) {
  CheckpointRun run;
  run.save({1}, 1);
  run.save({1, 1}, 2);
  run.files().remove(run.checkpoint(1) + "/shard-00000.h5");

  const auto entries = list_checkpoints(run.files(), parent_of(run.folder()));

  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_THAT(entries[0].problem, HasSubstr("shard-00000.h5"));
  EXPECT_FALSE(entries[0].state || entries[0].bytes) << "what is not known is not invented";
  EXPECT_EQ(entries[1].problem, "");
  EXPECT_EQ(entries[1].state->tokens_seen, 6144);
  EXPECT_GT(*entries[1].bytes, 301 * 707 * 10);
}

TEST(Report, DescribesTensorsAndState) {
  CheckpointRun run;
  run.save({1, 2}, 4);

  const CheckpointDescription shown = describe_checkpoint(run.files(), run.folder());

  constexpr std::int64_t kParameters = 301 * 707 + 3 + 64 * 129 + 1 + 35 + 60;
  EXPECT_EQ(shown.parameters, kParameters);
  EXPECT_EQ(shown.shards, 2);
  EXPECT_EQ(shown.state, CheckpointRun::request(4).state);
  EXPECT_EQ(shown.config_text, CheckpointRun::request(4).config_text);
  EXPECT_EQ(shown.role_bytes.at("value"), 2 * kParameters);
  EXPECT_EQ(shown.role_bytes.at("exp_avg"), 4 * kParameters);
  ASSERT_THAT(shown.tensors, SizeIs(6));
  EXPECT_EQ(shown.tensors.back().name, "embedding.weight");
  EXPECT_THAT(shown.tensors.back().aliases, testing::ElementsAre("head.weight"));
}

}  // namespace
}  // namespace ferula
