#include "data/glob.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <span>

#include "base/error.hpp"

namespace ferula {

namespace {

namespace fs = std::filesystem;

std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::directory_entry> entries;
  const fs::path place = folder.empty() ? fs::path(".") : folder;
  for (fs::directory_iterator entry(place, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    entries.push_back(*entry);
  }
  if (error) throw DataError(fmt::format("expected a readable folder, found {}: {}", place.string(), error.message()));
  return entries;
}

bool is_hidden(const fs::directory_entry& entry) { return entry.path().filename().native().front() == '.'; }

/// Adds to `found` the files that match `segments` from `folder` on.
void expand(const fs::path& folder, std::span<const std::string> segments, std::set<std::string>& found) {
  const std::string& segment = segments.front();
  const auto rest = segments.subspan(1);
  std::error_code ignored;
  if (segment == "**") {
    if (!rest.empty()) expand(folder, rest, found);
    for (const auto& entry : entries_of(folder)) {
      if (is_hidden(entry)) continue;
      const fs::path path = folder / entry.path().filename();
      if (entry.is_directory(ignored) && !entry.is_symlink(ignored)) expand(path, segments, found);
      if (rest.empty() && entry.is_regular_file(ignored)) found.insert(path.string());
    }
    return;
  }
  if (!is_glob(segment)) {
    const fs::path path = folder / segment;
    if (rest.empty() && fs::is_regular_file(path, ignored)) found.insert(path.string());
    if (!rest.empty() && fs::is_directory(path, ignored)) expand(path, rest, found);
    return;
  }
  for (const auto& entry : entries_of(folder)) {
    const std::string name = entry.path().filename().string();
    if (fnmatch(segment.c_str(), name.c_str(), FNM_PERIOD) != 0) continue;
    if (rest.empty() && entry.is_regular_file(ignored)) found.insert((folder / name).string());
    if (!rest.empty() && entry.is_directory(ignored)) expand(folder / name, rest, found);
  }
}

}  // namespace

bool is_glob(std::string_view pattern) { return pattern.find_first_of("*?[") != std::string_view::npos; }

std::vector<std::string> expand_glob(const std::string& pattern) {
  const fs::path path(pattern);
  std::vector<std::string> segments;
  for (const auto& part : path.relative_path()) {
    const bool repeated = part == "**" && !segments.empty() && segments.back() == "**";
    if (!part.empty() && !repeated) segments.push_back(part.string());
  }
  std::set<std::string> found;
  if (!segments.empty()) expand(path.root_path(), segments, found);
  return {found.begin(), found.end()};
}

std::vector<std::string> files_below(const std::string& folder) {
  const std::vector<std::string> everything{"**"};
  std::set<std::string> found;
  expand(folder, everything, found);
  return {found.begin(), found.end()};
}

}  // namespace ferula
