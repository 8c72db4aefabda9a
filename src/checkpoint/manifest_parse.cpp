// From the text of a manifest back to what it says: hash first, then strict types, then whether it is consistent.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "base/narrow.hpp"
#include "checkpoint/json_fields.hpp"
#include "checkpoint/manifest.hpp"
#include "checkpoint/manifest_frame.hpp"

namespace ferula {
namespace {

using namespace manifest_frame;

TrainingState state_of(const boost::json::value& value, const std::string& where) {
  JsonFields fields(value, where);
  TrainingState state{.step = fields.integer("step"),
                      .samples_seen = fields.integer("samples_seen"),
                      .tokens_seen = fields.integer("tokens_seen"),
                      .sampler_position = fields.integer("sampler_position"),
                      .seed = fields.integer("seed", std::numeric_limits<std::int64_t>::min()),
                      .layout = {},
                      .counters = {},
                      .notes = {}};
  JsonFields layout(fields.value("layout"), fields.where("layout"));
  const auto size = [&](std::string_view key) { return narrow<int>(layout.integer(key)); };
  state.layout = {.ranks = size("ranks"),
                  .stage = size("zero_stage"),
                  .replica = size("replica"),
                  .shard = size("shard"),
                  .pipeline = size("pipeline"),
                  .tensor = size("tensor")};
  layout.finish();
  JsonFields counters(fields.value("counters"), fields.where("counters"));
  for (const auto& item : counters.all())
    state.counters[item.key()] = counters.integer(item.key(), std::numeric_limits<std::int64_t>::min());
  JsonFields notes(fields.value("notes"), fields.where("notes"));
  for (const auto& item : notes.all()) state.notes[item.key()] = notes.text(item.key());
  fields.finish();
  return state;
}

Digest digest_field(JsonFields& fields, std::string_view key) {
  const std::optional<Digest> digest = digest_from_hex(fields.text(key));
  if (!digest) throw DataError(fmt::format("{}: expected 32 hexadecimal digits", fields.where(key)));
  return *digest;
}

/// Files are named without a folder, so that a manifest never leads out of its own.
std::string file_name_field(JsonFields& fields, std::string_view key) {
  const std::string name = fields.text(key);
  if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..")
    throw DataError(fmt::format("{}: expected the name of a file in this folder, found '{}'", fields.where(key), name));
  return name;
}

FileEntry file_of(const boost::json::value& value, const std::string& where) {
  JsonFields fields(value, where);
  FileEntry file{.name = file_name_field(fields, "name"),
                 .bytes = fields.integer("bytes"),
                 .digest = digest_field(fields, "xxh3_128")};
  fields.finish();
  return file;
}

ShardEntry shard_of(const boost::json::value& value, const std::string& where) {
  JsonFields fields(value, where);
  ShardEntry shard{.name = file_name_field(fields, "name"),
                   .table = file_name_field(fields, "table"),
                   .bytes = fields.integer("bytes")};
  fields.finish();
  return shard;
}

StoredPiece piece_of(const boost::json::value& value, const std::string& where) {
  JsonFields fields(value, where);
  StoredPiece piece{.shard = fields.integer("shard"),
                    .offset = fields.integer("offset"),
                    .count = fields.integer("count"),
                    .position = fields.integer("position"),
                    .dataset = fields.text("dataset")};
  fields.finish();
  return piece;
}

/// Every item of a list, read by `read(item, where)`.
template <class Read>
auto items_of(JsonFields& fields, std::string_view key, Read read) {
  std::vector<std::invoke_result_t<Read, const boost::json::value&, const std::string&>> items;
  const boost::json::array& array = fields.array(key);
  for (std::size_t index = 0; index < array.size(); ++index)
    items.push_back(read(array[index], fmt::format("{}[{}]", fields.where(key), index)));
  return items;
}

StoredRole role_of(const boost::json::value& value, const std::string& where) {
  JsonFields fields(value, where);
  StoredRole role{.role = fields.text("role"),
                  .dtype = dtype_named(fields.text("dtype")),
                  .pieces = items_of(fields, "pieces", piece_of)};
  fields.finish();
  return role;
}

std::string text_of(const boost::json::value& value, const std::string& where) {
  if (!value.is_string()) throw DataError(fmt::format("{}: expected a text", where));
  return std::string(value.get_string().data(), value.get_string().size());
}

StoredTensor tensor_of(const boost::json::value& value, const std::string& where) {
  JsonFields fields(value, where);
  StoredTensor tensor{.name = fields.text("name"),
                      .shape = integers_of(fields.array("shape"), fields.where("shape")),
                      .aliases = items_of(fields, "aliases", text_of),
                      .roles = items_of(fields, "roles", role_of)};
  fields.finish();
  return tensor;
}

/// Removes `prefix` from the front of `text`.
void expect(std::string_view& text, std::string_view prefix, const std::string& where) {
  if (!text.starts_with(prefix)) throw DamageError(fmt::format("{}: this is not a manifest, or it is damaged", where));
  text.remove_prefix(prefix.size());
}

/// The content between version, hash and end, verified.
std::string_view verified_content(std::string_view text, const std::string& where) {
  expect(text, kFormat, where);
  const std::string_view version = text.substr(0, text.find('"'));
  const auto is_digit = [](char letter) { return letter >= '0' && letter <= '9'; };
  if (version != kVersion && !version.empty() && version.size() < 4 &&
      std::all_of(version.begin(), version.end(), is_digit))
    throw DataError(
        fmt::format("{}: expected format version {}, found {}; use the version of ferula that wrote it, or "
                    "a newer one",
                    where, kVersion, version));
  expect(text, kVersion, where);
  expect(text, kHash, where);
  const std::optional<Digest> digest = digest_from_hex(text.substr(0, kHexDigits));
  text.remove_prefix(std::min(kHexDigits, text.size()));
  expect(text, kContent, where);
  if (!digest || !text.ends_with(kEnd)) throw DamageError(fmt::format("{}: the manifest is damaged or cut", where));
  text.remove_suffix(kEnd.size());
  if (digest_of(text) != *digest)
    throw DamageError(fmt::format("{}: the manifest is not what was written (its hash differs)", where));
  return text;
}

}  // namespace

Manifest parse_manifest(std::string_view text, const std::string& where) {
  const boost::json::value content = parse_json(verified_content(text, where), where);
  JsonFields fields(content, where);
  Manifest manifest{.state = state_of(fields.value("state"), fields.where("state")),
                    .config_digest = digest_field(fields, "config_digest"),
                    .files = items_of(fields, "files", file_of),
                    .shards = items_of(fields, "shards", shard_of),
                    .tensors = items_of(fields, "tensors", tensor_of)};
  fields.finish();
  for (const ShardEntry& shard : manifest.shards)
    if (manifest.file(shard.table) == nullptr)
      throw DataError(fmt::format("{}: the table {} of {} is not among the files", where, shard.table, shard.name));
  check_coverage(manifest, where);
  return manifest;
}

}  // namespace ferula
