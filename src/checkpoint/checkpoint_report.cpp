// Lists and descriptions of checkpoints.
#include "checkpoint/checkpoint_report.hpp"

#include "checkpoint/agreement.hpp"
#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/read_plan.hpp"

namespace ferula {
namespace {

std::int64_t bytes_of_files(const Manifest& manifest) {
  std::int64_t bytes = 0;
  for (const FileEntry& file : manifest.files) bytes += file.bytes;
  for (const ShardEntry& shard : manifest.shards) bytes += shard.bytes;
  return bytes;
}

CheckpointEntry entry_of(FileSystem& files, const std::string& checkpoint, std::optional<std::int64_t> step) {
  CheckpointEntry entry{.step = step, .checkpoint = checkpoint, .problem = {}, .bytes = {}, .state = {}};
  entry.problem = outcome_of([&] {
                    const Manifest manifest = load_whole_manifest(files, checkpoint);
                    entry.step = manifest.state.step;
                    entry.bytes = bytes_of_files(manifest);
                    entry.state = manifest.state;
                  }).problem;
  return entry;
}

std::string last_name(const std::string& path) {
  const std::string trimmed = path.substr(0, path.find_last_not_of('/') + 1);
  return trimmed.substr(trimmed.rfind('/') + 1);
}

}  // namespace

std::string listed_folder(FileSystem& files, const std::string& path) {
  if (!files.is_directory(path))
    throw DataError(fmt::format("{}: expected the folder of a run, found none; give RUN = output_dir/name", path));
  const std::string below = join_path(path, "checkpoints");
  return files.is_directory(below) ? below : path;
}

std::vector<CheckpointEntry> list_checkpoints(FileSystem& files, const std::string& path) {
  const std::string folder = listed_folder(files, path);
  const std::optional<std::int64_t> own_step = step_of_name(last_name(path));
  if (own_step || files.exists(join_path(path, kManifestName))) return {entry_of(files, path, own_step)};
  std::vector<CheckpointEntry> entries;
  for (const std::int64_t step : steps_in(files, folder))
    entries.push_back(entry_of(files, join_path(folder, step_name(step)), step));
  return entries;
}

CheckpointDescription describe_checkpoint(FileSystem& files, const std::string& path) {
  const std::string checkpoint = find_checkpoint(files, path);
  const Manifest manifest = load_manifest(files, checkpoint);
  CheckpointDescription description{.checkpoint = checkpoint,
                                    .state = manifest.state,
                                    .config_text = load_text(files, checkpoint, manifest, kConfigName),
                                    .shards = static_cast<std::int64_t>(manifest.shards.size()),
                                    .role_bytes = {},
                                    .tensors = {}};
  for (const StoredTensor& tensor : manifest.tensors) {
    TensorEntry entry{.name = tensor.name, .shape = tensor.shape, .aliases = tensor.aliases, .roles = {}};
    for (const StoredRole& role : tensor.roles) {
      entry.roles.emplace(role.role, role.dtype);
      description.role_bytes[role.role] += bytes_of(role.dtype, count_of(tensor.shape));
      if (role.role == kValueRole) description.parameters += count_of(tensor.shape);
    }
    description.tensors.push_back(std::move(entry));
  }
  return description;
}

}  // namespace ferula
