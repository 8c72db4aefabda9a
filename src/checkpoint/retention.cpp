// Deleting old checkpoints and left-over temporary folders.
#include "checkpoint/retention.hpp"

#include <fmt/format.h>

#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/names.hpp"

namespace ferula {
namespace {

/// Errors of the system are thrown: they say nothing about the checkpoint.
bool has_good_manifest(FileSystem& files, const std::string& checkpoint) {
  try {
    load_manifest(files, checkpoint);
    return true;
  } catch (const DataError&) {
    return false;
  }
}

}  // namespace

std::vector<std::int64_t> steps_to_delete(const std::vector<std::int64_t>& good, const Retention& retention) {
  std::vector<std::int64_t> doomed;
  if (retention.keep_last <= 0) return doomed;
  const auto kept = static_cast<std::size_t>(retention.keep_last);
  for (std::size_t index = 0; index + kept < good.size(); ++index)
    if (retention.keep_every <= 0 || good[index] % retention.keep_every != 0) doomed.push_back(good[index]);
  return doomed;
}

void apply_retention(FileSystem& files, const std::string& folder, const Retention& retention, std::int64_t newest) {
  if (retention.keep_last <= 0) return;
  std::vector<std::int64_t> good;
  for (const std::int64_t step : steps_in(files, folder))
    if (step <= newest && has_good_manifest(files, join_path(folder, step_name(step)))) good.push_back(step);
  for (const std::int64_t step : steps_to_delete(good, retention)) {
    const std::string away = join_path(folder, fmt::format("{}{}-{:08x}", kDeletingPrefix, step, random_id()));
    files.rename(join_path(folder, step_name(step)), away, Replace::never);
    files.sync_directory(folder);
    files.remove(away);
  }
}

void remove_leftovers(FileSystem& files, const std::string& folder) {
  for (const std::string& name : files.list(folder))
    if (name.starts_with(kSavingPrefix) || name.starts_with(kDeletingPrefix)) files.remove(join_path(folder, name));
}

}  // namespace ferula
