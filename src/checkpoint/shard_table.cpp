// The JSON form of a shard's table.
#include "checkpoint/shard_table.hpp"

#include "base/narrow.hpp"
#include "checkpoint/json_fields.hpp"

namespace ferula {
namespace {

constexpr std::string_view kFormat = "ferula shard 1";

boost::json::object to_json(const ShardPiece& piece) {
  return {{"tensor", piece.tensor},
          {"shape", boost::json::array(piece.shape.begin(), piece.shape.end())},
          {"role", piece.role},
          {"dtype", std::string(name_of(piece.dtype))},
          {"shard", piece.place.shard},
          {"offset", piece.place.offset},
          {"count", piece.place.count},
          {"position", piece.place.position},
          {"dataset", piece.place.dataset}};
}

ShardPiece piece_of(const boost::json::value& value, const std::string& where) {
  JsonFields fields(value, where);
  ShardPiece piece{.tensor = fields.text("tensor"),
                   .shape = integers_of(fields.array("shape"), fields.where("shape")),
                   .role = fields.text("role"),
                   .dtype = dtype_named(fields.text("dtype")),
                   .place = {.shard = fields.integer("shard"),
                             .offset = fields.integer("offset"),
                             .count = fields.integer("count"),
                             .position = fields.integer("position"),
                             .dataset = fields.text("dataset")}};
  fields.finish();
  return piece;
}

std::vector<Digest> digests_of(const boost::json::array& array, const std::string& where) {
  std::vector<Digest> digests;
  for (const boost::json::value& item : array) {
    const auto* text = item.if_string();
    const std::optional<Digest> digest =
        text == nullptr ? std::nullopt : digest_from_hex(std::string_view(text->data(), text->size()));
    if (!digest) throw DataError(fmt::format("{}: expected 32 hexadecimal digits", where));
    digests.push_back(*digest);
  }
  return digests;
}

}  // namespace

std::string shard_name(int writer) { return fmt::format("shard-{:05}.h5", writer); }
std::string table_name(int writer) { return fmt::format("shard-{:05}.json", writer); }

std::string shard_table_text(const ShardTable& table) {
  boost::json::array pieces;
  for (const ShardPiece& piece : table.pieces) pieces.push_back(to_json(piece));
  boost::json::array blocks;
  for (const Digest& digest : table.hashes.blocks) blocks.emplace_back(to_hex(digest));
  const boost::json::object content{{"format", kFormat},
                                    {"bytes", table.hashes.file_bytes},
                                    {"block_bytes", kHashBlockBytes},
                                    {"pieces", std::move(pieces)},
                                    {"blocks", std::move(blocks)}};
  return boost::json::serialize(content) + "\n";
}

ShardTable parse_shard_table(std::string_view text, const std::string& where) {
  const boost::json::value content = parse_json(text, where);
  JsonFields fields(content, where);
  const std::string format = fields.text("format");
  if (format != kFormat || fields.integer("block_bytes") != kHashBlockBytes)
    throw DataError(
        fmt::format("{}: expected '{}' with blocks of {} bytes, found '{}'; use the version of ferula that "
                    "wrote it",
                    where, kFormat, kHashBlockBytes, format));
  ShardTable table{.pieces = {},
                   .hashes = {.file_bytes = fields.integer("bytes"),
                              .blocks = digests_of(fields.array("blocks"), fields.where("blocks"))}};
  for (const boost::json::value& piece : fields.array("pieces"))
    table.pieces.push_back(piece_of(piece, fields.where("pieces")));
  fields.finish();
  if (ceil_div(table.hashes.file_bytes, kHashBlockBytes) != static_cast<std::int64_t>(table.hashes.blocks.size()))
    throw DataError(
        fmt::format("{}: {} bytes do not have {} blocks", where, table.hashes.file_bytes, table.hashes.blocks.size()));
  return table;
}

}  // namespace ferula
