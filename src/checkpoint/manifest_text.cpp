// The JSON form of a manifest. The first line holds version and hash; the content follows, one file or tensor a line.
#include "checkpoint/json_fields.hpp"
#include "checkpoint/manifest.hpp"
#include "checkpoint/manifest_frame.hpp"

namespace ferula {
namespace {

boost::json::value to_json(const TrainingState& state) {
  boost::json::object counters;
  for (const auto& [name, number] : state.counters) counters[name] = number;
  boost::json::object notes;
  for (const auto& [name, text] : state.notes) notes[name] = text;
  const WriterLayout& layout = state.layout;
  return {{"step", state.step},
          {"samples_seen", state.samples_seen},
          {"tokens_seen", state.tokens_seen},
          {"sampler_position", state.sampler_position},
          {"seed", state.seed},
          {"layout",
           {{"ranks", layout.ranks},
            {"zero_stage", layout.stage},
            {"replica", layout.replica},
            {"shard", layout.shard},
            {"pipeline", layout.pipeline},
            {"tensor", layout.tensor}}},
          {"counters", counters},
          {"notes", notes}};
}

boost::json::value to_json(const FileEntry& file) {
  return {{"name", file.name}, {"bytes", file.bytes}, {"xxh3_128", to_hex(file.digest)}};
}

boost::json::value to_json(const ShardEntry& shard) {
  return {{"name", shard.name}, {"table", shard.table}, {"bytes", shard.bytes}};
}

boost::json::value to_json(const StoredTensor& tensor) {
  boost::json::array roles;
  for (const StoredRole& role : tensor.roles) {
    boost::json::array pieces;
    for (const StoredPiece& piece : role.pieces)
      pieces.push_back(boost::json::object{{"shard", piece.shard},
                                           {"offset", piece.offset},
                                           {"count", piece.count},
                                           {"position", piece.position},
                                           {"dataset", piece.dataset}});
    roles.push_back(boost::json::object{
        {"role", role.role}, {"dtype", std::string(name_of(role.dtype))}, {"pieces", std::move(pieces)}});
  }
  return {{"name", tensor.name},
          {"shape", boost::json::array(tensor.shape.begin(), tensor.shape.end())},
          {"aliases", boost::json::array(tensor.aliases.begin(), tensor.aliases.end())},
          {"roles", std::move(roles)}};
}

/// A list with one item a line, for people who look into the file.
template <class Item>
std::string lines_of(const std::vector<Item>& items) {
  std::vector<std::string> lines;
  for (const Item& item : items) lines.push_back(boost::json::serialize(to_json(item)));
  return fmt::format("[\n{}]", fmt::join(lines, ",\n"));
}

}  // namespace

std::string manifest_text(const Manifest& manifest) {
  using namespace manifest_frame;
  const std::string content =
      fmt::format("{{\"state\":{},\n\"config_digest\":\"{}\",\n\"files\":{},\n\"shards\":{},\n\"tensors\":{}}}\n",
                  boost::json::serialize(to_json(manifest.state)), to_hex(manifest.config_digest),
                  lines_of(manifest.files), lines_of(manifest.shards), lines_of(manifest.tensors));
  return fmt::format("{}{}{}{}{}{}{}", kFormat, kVersion, kHash, to_hex(digest_of(content)), kContent, content, kEnd);
}

}  // namespace ferula
