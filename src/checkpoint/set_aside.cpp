#include "checkpoint/set_aside.hpp"

#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/names.hpp"

namespace ferula {

std::string set_aside(FileSystem& files, const std::string& folder, std::int64_t step, std::string_view prefix) {
  const std::string aside = join_path(folder, fmt::format("{}{}-{:08x}", prefix, step_name(step), random_id()));
  files.rename(join_path(folder, step_name(step)), aside, Replace::never);
  files.sync_directory(folder);
  return aside;
}

std::vector<std::string> set_newer_aside(FileSystem& files, const std::string& folder, std::int64_t step,
                                         std::string_view prefix) {
  std::vector<std::string> moved;
  for (const std::int64_t newer : steps_in(files, folder))
    if (newer > step) moved.push_back(set_aside(files, folder, newer, prefix));
  if (moved.empty()) return moved;
  const std::vector<std::int64_t> left = steps_in(files, folder);
  if (left.empty())
    files.remove(join_path(folder, kLatestName));
  else
    write_latest(files, folder, left.back());
  return moved;
}

std::vector<std::string> set_aside_in(FileSystem& files, const std::string& folder) {
  std::vector<std::string> names;
  for (const std::string& name : files.list(folder))
    if (name.starts_with(kDamagedPrefix) || name.starts_with(kAbandonedPrefix)) names.push_back(name);
  return names;
}

void write_latest(FileSystem& files, const std::string& folder, std::int64_t step) {
  write_file_atomically(files, join_path(folder, kLatestName), step_name(step) + "\n", Replace::existing);
}

}  // namespace ferula
