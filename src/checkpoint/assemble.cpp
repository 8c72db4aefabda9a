// Index, configuration and manifest of a checkpoint.
#include "checkpoint/assemble.hpp"

#include <algorithm>
#include <map>

#include "checkpoint/index_file.hpp"
#include "checkpoint/shard_table.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kTableLimitBytes = std::int64_t{1} << 30;

FileEntry entry_of(std::string_view name, std::string_view content) {
  return {.name = std::string(name), .bytes = static_cast<std::int64_t>(content.size()), .digest = digest_of(content)};
}

void add_piece(const ShardPiece& piece, std::map<std::string, StoredTensor>& tensors) {
  StoredTensor& tensor = tensors[piece.tensor];
  if (tensor.name.empty()) tensor = {.name = piece.tensor, .shape = piece.shape, .aliases = {}, .roles = {}};
  if (tensor.shape != piece.shape)
    throw DataError(fmt::format("{} has the shape [{}] on one rank and [{}] on another", piece.tensor,
                                fmt::join(tensor.shape, ", "), fmt::join(piece.shape, ", ")));
  auto role = std::find_if(tensor.roles.begin(), tensor.roles.end(),
                           [&](const StoredRole& stored) { return stored.role == piece.role; });
  if (role == tensor.roles.end())
    role = tensor.roles.insert(role, {.role = piece.role, .dtype = piece.dtype, .pieces = {}});
  if (role->dtype != piece.dtype)
    throw DataError(fmt::format("{} ({}) is {} on one rank and {} on another", piece.tensor, piece.role,
                                name_of(role->dtype), name_of(piece.dtype)));
  role->pieces.push_back(piece.place);
}

/// Reads every writer's table and joins what they say of the tensors.
void join_tables(FileSystem& files, const std::string& directory, int writers, Manifest& manifest) {
  std::map<std::string, StoredTensor> tensors;
  for (int writer = 0; writer < writers; ++writer) {
    const std::string path = join_path(directory, table_name(writer));
    if (!files.exists(path))
      throw DataError(
          fmt::format("{}: rank 0 cannot see what rank {} wrote; set [run] output_dir to a folder that all "
                      "ranks share",
                      path, writer));
    const std::string text = read_file(files, path, kTableLimitBytes);
    const ShardTable table = parse_shard_table(text, path);
    manifest.files.push_back(entry_of(table_name(writer), text));
    manifest.shards.push_back(
        {.name = shard_name(writer), .table = table_name(writer), .bytes = table.hashes.file_bytes});
    for (const ShardPiece& piece : table.pieces) add_piece(piece, tensors);
  }
  for (auto& [name, tensor] : tensors) {
    for (StoredRole& role : tensor.roles)
      std::sort(role.pieces.begin(), role.pieces.end(),
                [](const StoredPiece& a, const StoredPiece& b) { return a.offset < b.offset; });
    manifest.tensors.push_back(std::move(tensor));
  }
}

void add_aliases(const std::vector<TiedTensor>& tied, std::vector<StoredTensor>& tensors) {
  for (const TiedTensor& pair : tied) {
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const StoredTensor& tensor) { return tensor.name == pair.tensor; });
    FERULA_CHECK(found != tensors.end(), "{} is tied to {}, which is not saved", pair.alias, pair.tensor);
    found->aliases.push_back(pair.alias);
  }
}

/// HDF5 has written the file; this makes it durable and hashes it.
FileEntry seal_index(FileSystem& files, const std::string& directory) {
  const std::string path = join_path(directory, kIndexName);
  const std::unique_ptr<File> file = files.open(path, OpenMode::update);
  file->sync();
  std::string content(static_cast<std::size_t>(file->bytes()), '\0');
  file->read_at(0, std::as_writable_bytes(std::span(content)));
  return entry_of(kIndexName, content);
}

}  // namespace

void assemble_checkpoint(FileSystem& files, const std::string& directory, int writers, const SaveRequest& request) {
  Manifest manifest{.state = request.state,
                    .config_digest = digest_of(request.config_text),
                    .files = {},
                    .shards = {},
                    .tensors = {}};
  join_tables(files, directory, writers, manifest);
  add_aliases(request.tied, manifest.tensors);
  check_coverage(manifest, directory);
  write_index(directory, manifest);
  manifest.files.push_back(seal_index(files, directory));
  write_file_atomically(files, join_path(directory, kConfigName), request.config_text, Replace::never);
  manifest.files.push_back(entry_of(kConfigName, request.config_text));
  write_file_atomically(files, join_path(directory, kManifestName), manifest_text(manifest), Replace::never);
}

}  // namespace ferula
