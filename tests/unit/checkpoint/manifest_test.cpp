// The manifest: it comes back, and contradictions are refused by name.
#include "checkpoint/manifest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/shard_table.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

Manifest small_manifest() {
  return {
      .state = {.step = 3, .seed = -1, .counters = {{"a", -2}}, .notes = {{"ключ", "quote \" and\nline"}}},
      .config_digest = digest_of("config"),
      .files = {{.name = "shard-00000.json", .bytes = 10, .digest = digest_of("table")}},
      .shards = {{.name = "shard-00000.h5", .table = "shard-00000.json", .bytes = 1000}},
      .tensors = {{.name = "t",
                   .shape = {2, 5},
                   .aliases = {"u"},
                   .roles = {{.role = "value",
                              .dtype = DType::f32,
                              .pieces = {{.shard = 0, .offset = 0, .count = 4, .position = 100, .dataset = "/a"},
                                         {.shard = 0, .offset = 4, .count = 6, .position = 200, .dataset = "/b"}}}}}}};
}

/// The manifest after it went through its text.
Manifest reparsed(const Manifest& manifest) { return parse_manifest(manifest_text(manifest), "M"); }

TEST(Manifest, ComesBackFromItsText) {
  const Manifest manifest = reparsed(small_manifest());

  EXPECT_EQ(manifest.state, small_manifest().state);
  EXPECT_EQ(manifest.config_digest, digest_of("config"));
  ASSERT_NE(manifest.tensor("u"), nullptr);
  EXPECT_EQ(manifest.tensor("u"), manifest.tensor("t"));
  EXPECT_EQ(manifest.tensor("t")->role("value")->pieces[1].position, 200);
  EXPECT_EQ(manifest.tensor("missing"), nullptr);
  EXPECT_EQ(manifest_text(manifest), manifest_text(small_manifest()));
}

TEST(Manifest, AnotherVersionIsNoDamage) {
  std::string text = manifest_text(small_manifest());
  text.replace(text.find("checkpoint 1"), 12, "checkpoint 2");
  try {
    parse_manifest(text, "M");
    FAIL() << "accepted";
  } catch (const DamageError& error) {
    FAIL() << "called damage: " << error.what();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("expected format version 1, found 2"));
  }
}

TEST(Manifest, ContradictionsAreNamed) {
  const auto refuses = [](auto change, const std::string& message) {
    Manifest manifest = small_manifest();
    change(manifest, manifest.tensors[0].roles[0].pieces);
    EXPECT_THAT([&] { reparsed(manifest); }, ThrowsMessage<DataError>(HasSubstr(message)));
  };
  using Pieces = std::vector<StoredPiece>;
  refuses([](Manifest&, Pieces& pieces) { pieces[1].offset = 5; }, "elements 4 to 5 of t (value) are missing");
  refuses([](Manifest&, Pieces& pieces) { pieces[1].offset = 3; }, "elements 3 to 4 of t (value) are stored twice");
  refuses([](Manifest&, Pieces& pieces) { pieces[1].count = 5; }, "elements 9 to 10 of t (value) are missing");
  refuses([](Manifest&, Pieces& pieces) { pieces[1].count = 7; }, "beyond the tensor's shape");
  refuses([](Manifest&, Pieces& pieces) { pieces[1].position = 980; }, "beyond the end of their file");
  refuses([](Manifest&, Pieces& pieces) { pieces[1].shard = 1; }, "shard 1 of 1");
  refuses([](Manifest& manifest, Pieces&) { manifest.files.clear(); }, "the table shard-00000.json");
  refuses([](Manifest& manifest, Pieces&) { manifest.files[0].name = "../x"; }, "a file in this folder, found '../x'");
}

TEST(ShardTable, ComesBackAndIsStrict) {
  const ShardTable table{.pieces = {{.tensor = "t",
                                     .shape = {2, 5},
                                     .role = "value",
                                     .dtype = DType::bf16,
                                     .place = {.shard = 3, .offset = 1, .count = 2, .position = 4, .dataset = "/v"}}},
                         .hashes = {.file_bytes = 5, .blocks = {digest_of("x")}}};
  const std::string text = shard_table_text(table);

  const ShardTable again = parse_shard_table(text, "T");

  EXPECT_EQ(shard_table_text(again), text);
  EXPECT_EQ(again.pieces[0].dtype, DType::bf16);
  EXPECT_THAT([] { parse_shard_table("{", "T"); }, ThrowsMessage<DataError>(HasSubstr("T: expected JSON")));
  EXPECT_THAT([] { parse_shard_table("[]", "T"); }, ThrowsMessage<DataError>(HasSubstr("expected a JSON object")));
  std::string changed = text;
  changed.replace(changed.find("\"bytes\":5"), 9, "\"bytes\":\"5\"");
  EXPECT_THAT(
      [&] { parse_shard_table(changed, "T"); },
      ThrowsMessage<DataError>(HasSubstr("expected a whole number that is at least 0 as 'bytes', found \"5\"")));
  std::string extended = text;
  extended.replace(1, 0, "\"extra\":1,");
  EXPECT_THAT([&] { parse_shard_table(extended, "T"); }, ThrowsMessage<DataError>(HasSubstr("'extra' is unknown")));
}

}  // namespace
}  // namespace ferula
