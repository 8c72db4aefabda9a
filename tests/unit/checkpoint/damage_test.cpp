// A flipped bit, a truncation or a missing file is found before a value is used, and named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/checkpoint_report.hpp"
#include "checkpoint/verify.hpp"
#include "checkpoint_run.hpp"
#include "support/passing_file_system.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;
using testing::ThrowsMessage;

class DamageTest : public testing::Test {
 protected:
  DamageTest() {
    run_.save({1}, 1);
    run_.save({2, 1}, 2);
  }
  std::string file(const std::string& name) const { return join_path(run_.checkpoint(2), name); }
  std::vector<std::string> all_files() { return run_.files().list(run_.checkpoint(2)); }

  void flip(const std::string& path, std::int64_t position, int bit) {
    std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(position);
    const int byte = stream.get();
    stream.seekp(position);
    stream.put(static_cast<char>(byte ^ (1 << bit)));
  }

  /// Loads checkpoint 2 itself on one rank. Whether that was refused; values that were accepted must be right.
  bool refused() {
    FakeState state({1}, 0);
    bool refused = false;
    run_fake_ranks(1, [&](FakeRank& rank) {
      const LoadContext context{
          .files = run_.files(), .world = rank.world, .device = rank.device, .stream = rank.stream};
      try {
        load_from(context, run_.checkpoint(2), state.pieces(), ReadScope::everything);
      } catch (const DataError&) {
        refused = true;
      }
    });
    if (!refused) EXPECT_EQ(state.differences(2), 0);
    return refused;
  }

  CheckpointRun run_;
};

/// No value comes from the index: a resume looks at its size only.
bool is_read_by_a_resume(const std::string& name) { return name != kIndexName; }

TEST_F(DamageTest, EveryFlippedBitIsFound) {
  constexpr std::int64_t kPositions = 25;
  for (const std::string& name : all_files()) {
    const auto bytes = static_cast<std::int64_t>(std::filesystem::file_size(file(name)));
    for (std::int64_t sample = 0; sample < kPositions; ++sample) {
      const std::int64_t position = sample * (bytes - 1) / (kPositions - 1);
      const int bit = static_cast<int>(sample % 8);
      SCOPED_TRACE(fmt::format("{} at {}, bit {}", name, position, bit));
      flip(file(name), position, bit);
      EXPECT_FALSE(verify_checkpoint(run_.files(), run_.checkpoint(2)).good());
      if (is_read_by_a_resume(name)) EXPECT_TRUE(refused());
      flip(file(name), position, bit);
    }
  }
  EXPECT_TRUE(verify_checkpoint(run_.files(), run_.checkpoint(2)).good());
  EXPECT_FALSE(refused());
}

TEST_F(DamageTest, EveryByteOfTheManifestMatters) {
  const std::string text = read_file(run_.files(), file("MANIFEST.json"), 1 << 20);
  for (std::size_t position = 0; position < text.size(); ++position) {
    std::string changed = text;
    changed[position] = static_cast<char>(changed[position] ^ 1);
    EXPECT_THROW(parse_manifest(changed, "test"), DataError) << position;
  }
  for (std::size_t length = 0; length < text.size(); length += 97)
    EXPECT_THROW(parse_manifest(std::string_view(text).substr(0, length), "test"), DamageError) << length;
}

TEST_F(DamageTest, TruncatedAndGrownFilesAreFound) {
  for (const std::string& name : all_files()) {
    SCOPED_TRACE(name);
    const std::string saved = file(name) + ".saved";
    for (const std::int64_t change : {-1, 1}) {
      std::filesystem::copy_file(file(name), saved, std::filesystem::copy_options::overwrite_existing);
      std::filesystem::resize_file(
          file(name),
          static_cast<std::uintmax_t>(static_cast<std::int64_t>(std::filesystem::file_size(saved)) + change));
      EXPECT_FALSE(verify_checkpoint(run_.files(), run_.checkpoint(2)).good());
      EXPECT_TRUE(refused());
      std::filesystem::rename(saved, file(name));
    }
  }
}

TEST_F(DamageTest, MissingFilesAreFoundAndNamed) {
  for (const std::string& name : all_files()) {
    const std::string away = run_.folder() + "/away";
    std::filesystem::rename(file(name), away);
    const VerifyReport report = verify_checkpoint(run_.files(), run_.checkpoint(2));
    ASSERT_FALSE(report.good());
    EXPECT_THAT(report.damages.front().text, HasSubstr(name));
    EXPECT_NE(list_checkpoints(run_.files(), run_.folder()).back().problem, "");
    EXPECT_TRUE(refused());
    std::filesystem::rename(away, file(name));
  }
}

TEST_F(DamageTest, NamesFileTensorAndElements) {
  const Manifest manifest = load_manifest(run_.files(), run_.checkpoint(2));
  const StoredPiece piece = manifest.tensor("embedding.weight")->role("master")->pieces.front();
  ASSERT_GT(piece.count * 4, 2 * kHashBlockBytes);
  const std::int64_t position = (piece.position / kHashBlockBytes + 1) * kHashBlockBytes + 5;
  flip(file("shard-00000.h5"), position, 3);

  const VerifyReport report = verify_checkpoint(run_.files(), run_.checkpoint(2));

  ASSERT_THAT(report.damages, SizeIs(1));
  const Damage& damage = report.damages.front();
  EXPECT_EQ(damage.file, "shard-00000.h5");
  ASSERT_FALSE(damage.parts.empty());
  const DamagedPart& part = damage.parts.front();
  EXPECT_EQ(part.tensor, "embedding.weight");
  EXPECT_EQ(part.role, "master");
  const std::int64_t element = piece.offset + (position - piece.position) / 4;
  EXPECT_LE(part.first_element, element);
  EXPECT_GT(part.end_element, element);
  EXPECT_LE(part.end_element - part.first_element, kHashBlockBytes / 4 + 1);
  EXPECT_THAT(
      [&] {
        run_fake_ranks(1, [&](FakeRank& rank) {
          FakeState state({1}, 0);
          CheckpointReader(run_.files(), rank.device, run_.checkpoint(2)).read(state.pieces(), ReadScope::everything);
        });
      },
      ThrowsMessage<DataError>(
          AllOf(HasSubstr("shard-00000.h5: bytes"), HasSubstr("embedding.weight (master) from 0 on"))));
}

TEST_F(DamageTest, ResumeGoesBackToTheLastGoodOneOnAllRanks) {
  flip(file("shard-00001.h5"), 4000, 0);  // only ranks that read the second half can see it

  const auto loaded = run_.load_newest({1, 1, 1});

  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->state.step, 1);
  ASSERT_THAT(loaded->warnings, SizeIs(1));
  EXPECT_THAT(loaded->warnings.front(),
              AllOf(HasSubstr("step-00000002/shard-00001.h5"), EndsWith("; using step-00000001 instead")));
}

TEST_F(DamageTest, ACheckpointThatLacksAnyFileIsSkippedOnAllRanks) {
  for (const std::string& name : all_files()) {
    SCOPED_TRACE(name);
    const std::string away = run_.folder() + "/away";
    std::filesystem::rename(file(name), away);

    const auto loaded = run_.load_newest({1, 1});

    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->state.step, 1);
    EXPECT_THAT(loaded->warnings, ElementsAre(HasSubstr("step-00000002/" + name)));
    std::filesystem::rename(away, file(name));
  }
}

TEST_F(DamageTest, ADamagedConfigurationIsSkippedToo) {
  flip(file("config.toml"), 3, 0);

  const auto loaded = run_.load_newest({1, 1});

  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->state.step, 1);
  EXPECT_EQ(find_checkpoint(run_.files(), run_.folder()), run_.checkpoint(1));
}

TEST_F(DamageTest, ARunThatIsNamedStandsForItsNewestGoodOne) {
  flip(file("shard-00001.h5"), 4000, 0);
  run_fake_ranks(2, [&](FakeRank& rank) {
    FakeState state({1, 1}, rank.rank);
    const LoadContext context{.files = run_.files(), .world = rank.world, .device = rank.device, .stream = rank.stream};

    const LoadedCheckpoint loaded = load_from(context, parent_of(run_.folder()), state.pieces(), ReadScope::everything);

    EXPECT_EQ(loaded.checkpoint, run_.checkpoint(1));
    EXPECT_THAT(loaded.warnings, ElementsAre(HasSubstr("step-00000002/shard-00001.h5")));
    EXPECT_EQ(state.differences(1), 0);
    EXPECT_THROW(load_from(context, run_.checkpoint(2), state.pieces(), ReadScope::everything), DataError);
  });
}

/// Files of one checkpoint that this user may not read.
class ForbiddingFileSystem final : public PassingFileSystem {
 public:
  ForbiddingFileSystem(FileSystem& real, std::string folder) : PassingFileSystem(real), folder_(std::move(folder)) {}
  std::unique_ptr<File> open(const std::string& path, OpenMode mode) override {
    if (parent_of(path) == folder_) throw DeviceError(path + ": Permission denied");
    return PassingFileSystem::open(path, mode);
  }

 private:
  std::string folder_;
};

TEST_F(DamageTest, WhatMayNotBeReadIsNotPassedOverAsDamaged) {
  ForbiddingFileSystem files(run_.files(), run_.checkpoint(2));

  EXPECT_THAT([&] { find_newest_good(files, run_.folder()); },
              ThrowsMessage<DeviceError>(HasSubstr("Permission denied")));
  EXPECT_THAT([&] { newest_good_step(files, run_.folder()); },
              ThrowsMessage<DeviceError>(HasSubstr("Permission denied")));
}

TEST_F(DamageTest, ResumeRefusesWhenAllAreDamaged) {
  run_.files().remove(file("MANIFEST.json"));
  run_.files().remove(run_.checkpoint(1) + "/MANIFEST.json");

  EXPECT_THAT([&] { run_.load_newest({1, 1}); }, ThrowsMessage<DataError>(HasSubstr("found only damaged ones")));
}

}  // namespace
}  // namespace ferula
