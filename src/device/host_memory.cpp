// Reads /proc/meminfo and the files of control groups, of both versions.
#include "device/host_memory.hpp"

#include <algorithm>
#include <fstream>
#include <string>

namespace ferula {
namespace {

namespace fs = std::filesystem;

/// Where a version of control groups keeps limit and use of memory, and the names of its file cache.
struct GroupFiles {
  const char* mount;
  const char* limit;
  const char* use;
  const char* active_cache;
  const char* inactive_cache;
};
constexpr GroupFiles kVersion1{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                               "total_active_file", "total_inactive_file"};
constexpr GroupFiles kVersion2{"sys/fs/cgroup", "memory.max", "memory.current", "active_file", "inactive_file"};

/// The first number of a file; absent where it has none ("max").
std::optional<std::int64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::int64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

/// The number behind `name` in a file of lines "name number".
std::optional<std::int64_t> number_behind(const fs::path& path, const std::string& name) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line))
    if (line.starts_with(name + " ")) return std::stoll(line.substr(name.size()));
  return std::nullopt;
}

std::optional<std::int64_t> least(std::optional<std::int64_t> a, std::optional<std::int64_t> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

/// What one group, without those above it, leaves.
std::optional<std::int64_t> left_in_group(const fs::path& group, const GroupFiles& files) {
  const auto limit = number_in(group / files.limit);
  const auto used = number_in(group / files.use);
  if (!limit || !used) return std::nullopt;
  const fs::path statistics = group / "memory.stat";
  const std::int64_t cache = number_behind(statistics, files.active_cache).value_or(0) +
                             number_behind(statistics, files.inactive_cache).value_or(0);
  return std::max<std::int64_t>(0, *limit - std::max<std::int64_t>(0, *used - cache));
}

/// What the group at `path` ("/system.slice/job_7") and all above it leave. A container may not see the lower ones.
std::optional<std::int64_t> left_in_groups(const fs::path& root, fs::path path, const GroupFiles& files) {
  std::optional<std::int64_t> left;
  for (;; path = path.parent_path()) {
    left = least(left, left_in_group(root / files.mount / path.relative_path(), files));
    if (path == path.parent_path()) return left;
  }
}

std::optional<std::int64_t> left_by_control_groups(const fs::path& root) {
  std::ifstream file(root / "proc/self/cgroup");
  std::optional<std::int64_t> left;
  std::string line;
  while (std::getline(file, line)) {  // "0::/path" of version 2, "7:memory,other:/path" of version 1
    const std::size_t controllers = line.find(':');
    const std::size_t path = line.find(':', controllers + 1);
    if (controllers == std::string::npos || path == std::string::npos) continue;
    const std::string names = "," + line.substr(controllers + 1, path - controllers - 1) + ",";
    if (names == ",,") left = least(left, left_in_groups(root, line.substr(path + 1), kVersion2));
    if (names.find(",memory,") != std::string::npos)
      left = least(left, left_in_groups(root, line.substr(path + 1), kVersion1));
  }
  return left;
}

}  // namespace

std::optional<std::int64_t> available_host_memory(const fs::path& root) {
  constexpr std::int64_t kKibibyte = 1024;
  std::optional<std::int64_t> available = number_behind(root / "proc/meminfo", "MemAvailable:");
  if (available) *available *= kKibibyte;
  return least(available, left_by_control_groups(root));
}

}  // namespace ferula
