// Looking into a folder of checkpoints.
#include "checkpoint/checkpoint_folder.hpp"

#include <algorithm>

#include "checkpoint/names.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kManifestLimitBytes = std::int64_t{1} << 30;

void check_size(FileSystem& files, const std::string& path, std::int64_t expected) {
  const std::int64_t found = files.open(path, OpenMode::read)->bytes();
  if (found != expected) throw DamageError(fmt::format("{}: expected {} bytes, found {}", path, expected, found));
}

/// What is damaged; empty where nothing is. Files that may not be read are no damage: DeviceError.
std::string problem_of(FileSystem& files, const std::string& checkpoint) {
  try {
    load_whole_manifest(files, checkpoint);
  } catch (const DeviceError&) {
    throw;
  } catch (const Error& damage) {
    return damage.what();
  }
  return {};
}

}  // namespace

Manifest load_manifest(FileSystem& files, const std::string& checkpoint) {
  const std::string path = join_path(checkpoint, kManifestName);
  return parse_manifest(read_file(files, path, kManifestLimitBytes), path);
}

void check_sizes(FileSystem& files, const std::string& checkpoint, const Manifest& manifest) {
  for (const FileEntry& file : manifest.files) check_size(files, join_path(checkpoint, file.name), file.bytes);
  for (const ShardEntry& shard : manifest.shards) check_size(files, join_path(checkpoint, shard.name), shard.bytes);
}

Manifest load_whole_manifest(FileSystem& files, const std::string& checkpoint) {
  Manifest manifest = load_manifest(files, checkpoint);
  check_sizes(files, checkpoint, manifest);
  load_text(files, checkpoint, manifest, kConfigName);
  return manifest;
}

std::string load_text(FileSystem& files, const std::string& checkpoint, const Manifest& manifest,
                      std::string_view name) {
  const FileEntry* entry = manifest.file(name);
  if (entry == nullptr) throw DataError(fmt::format("{}: expected the file {}, found none", checkpoint, name));
  const std::string path = join_path(checkpoint, name);
  check_size(files, path, entry->bytes);
  std::string text = read_file(files, path, entry->bytes);
  if (digest_of(text) != entry->digest)
    throw DamageError(fmt::format("{}: this is not what was written (its hash differs)", path));
  return text;
}

std::vector<std::int64_t> steps_in(FileSystem& files, const std::string& folder) {
  std::vector<std::int64_t> steps;
  for (const std::string& name : files.list(folder))
    if (const auto step = step_of_name(name)) steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::optional<std::int64_t> newest_good_step(FileSystem& files, const std::string& folder) {
  const std::vector<std::int64_t> steps = steps_in(files, folder);
  const auto found = std::find_if(steps.rbegin(), steps.rend(), [&](std::int64_t step) {
    return problem_of(files, join_path(folder, step_name(step))).empty();
  });
  if (found == steps.rend()) return std::nullopt;
  return *found;
}

std::optional<std::string> folder_of_checkpoints(FileSystem& files, const std::string& path) {
  if (!files.exists(path)) throw DataError(fmt::format("{}: expected a checkpoint, found nothing", path));
  if (!files.is_directory(path))
    throw DataError(
        fmt::format("{}: a checkpoint is a folder, not a file; give the folder step-… that holds it", path));
  if (files.exists(join_path(path, kManifestName))) return std::nullopt;
  for (const std::string& folder : {path, join_path(path, "checkpoints")})
    if (!steps_in(files, folder).empty()) return folder;
  throw DataError(fmt::format(
      "{}: expected a checkpoint (a folder with {}) or a folder of them, found neither; give a run that has saved one",
      path, kManifestName));
}

FoundCheckpoint find_newest_good(FileSystem& files, const std::string& path) {
  const std::optional<std::string> folder = folder_of_checkpoints(files, path);
  if (!folder) return {.checkpoint = path, .passed_over = {}};
  FoundCheckpoint found;
  const std::vector<std::int64_t> steps = steps_in(files, *folder);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    found.checkpoint = join_path(*folder, step_name(*step));
    const std::string problem = problem_of(files, found.checkpoint);
    if (problem.empty()) return found;
    found.passed_over.push_back({found.checkpoint, problem});
  }
  throw DataError(
      fmt::format("{}: expected a good checkpoint, found only damaged ones; `ferula checkpoint list {}` says what is "
                  "wrong with each",
                  *folder, path));
}

std::string find_checkpoint(FileSystem& files, const std::string& path) {
  return find_newest_good(files, path).checkpoint;
}

}  // namespace ferula
