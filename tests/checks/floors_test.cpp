// The floors of docs/architecture.md: a file includes only its own or a lower floor, folders of one floor do not
// include each other in a circle, and each third-party library has one home.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "source_tree.hpp"

namespace ferula::checks {
namespace {

const std::map<std::string_view, int> kFloors{
    {"base", 0},     {"config", 1},      {"device", 1},   {"comm", 2},   {"ops", 2},        {"storage", 2},
    {"cluster", 2},  {"interchange", 2}, {"params", 3},   {"data", 3},   {"checkpoint", 4}, {"model", 4},
    {"schedule", 4}, {"train", 5},       {"generate", 5}, {"doctor", 5}, {"app", 6},
};

/// Who may include a third-party header: a folder of src/, or one file.
struct Home {
  std::string_view header;  // its beginning
  std::vector<std::string_view> places;
};
const std::vector<Home> kHomes{
    {"spdlog/", {"src/base/"}},
    {"toml", {"src/config/"}},
    {"boost/describe", {"src/config/"}},
    {"boost/json", {"src/config/", "src/interchange/", "src/checkpoint/", "src/train/", "src/generate/", "src/app/"}},
    {"yaml-cpp", {"src/interchange/"}},
    {"boost/program_options", {"src/app/command_line.cpp"}},
    {"mpi.h", {"src/comm/"}},
    {"hdf5", {"src/storage/"}},
    {"xxh", {"src/storage/"}},
    {"oneapi/", {"src/ops/"}},
    {"dnnl", {"src/ops/"}},
    {"hwy/", {"src/ops/"}},
    {"immintrin.h", {"src/ops/"}},
    {"cuda", {"src/device/cuda/", "src/ops/cuda/", "src/comm/nccl_library"}},
    {"cublas", {"src/ops/cuda/"}},
    {"cudnn", {"src/ops/cuda/cudnn/"}},
    {"nccl.h", {"src/comm/nccl_library"}},
    {"dlfcn.h", {"src/app/gpu_library.cpp", "src/comm/nccl_library", "src/ops/cuda/fused_attention.cpp"}},
    {"omp.h", {"src/device/", "src/comm/node_place.cpp", "src/ops/"}},
};

/// The path of an #include line; empty for other lines.
std::string_view included(const std::string& line) {
  if (!line.starts_with("#include ")) return {};
  const std::string_view rest = std::string_view(line).substr(10);
  return rest.substr(0, rest.find_first_of("\">"));
}

std::string_view first_folder(std::string_view path) { return path.substr(0, path.find('/')); }

template <class Visit>
void for_each_include(Visit visit) {
  for (const SourceFile& file : source_files())
    for (std::size_t index = 0; index < file.lines.size(); ++index)
      if (const std::string_view path = included(file.lines[index]); !path.empty()) visit(file, index, path);
}

TEST(Floors, EveryFolderHasOne) {
  std::vector<std::string> findings;
  for (const SourceFile& file : source_files())
    if (!file.floor().empty() && !kFloors.contains(file.floor()))
      findings.push_back(at(file, 0, "its folder has no floor in docs/architecture.md and in this test"));
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(Floors, AFileIncludesOnlyItsOwnOrALowerOne) {
  std::vector<std::string> findings;
  for_each_include([&](const SourceFile& file, std::size_t index, std::string_view path) {
    const auto from = kFloors.find(file.floor()), to = kFloors.find(first_folder(path));
    if (from == kFloors.end() || to == kFloors.end()) return;
    if (to->second > from->second) findings.push_back(at(file, index, "includes a higher floor: " + std::string(path)));
  });
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(Floors, FoldersDoNotIncludeEachOtherInACircle) {
  std::map<std::string_view, std::set<std::string_view>> uses;
  for_each_include([&](const SourceFile& file, std::size_t, std::string_view path) {
    const std::string_view to = first_folder(path);
    if (kFloors.contains(file.floor()) && kFloors.contains(to) && to != file.floor()) uses[file.floor()].insert(to);
  });

  std::set<std::string_view> above;
  const std::function<std::optional<std::string>(std::string_view)> circle = [&](std::string_view folder) {
    if (!above.insert(folder).second) return std::optional(std::string(folder));
    for (const std::string_view next : uses[folder])
      if (auto found = circle(next)) return std::optional(std::string(folder) + " → " + *found);
    above.erase(folder);
    return std::optional<std::string>();
  };

  for (const auto& [folder, number] : kFloors) EXPECT_EQ(circle(folder).value_or(""), "");
}

TEST(Floors, EachThirdPartyLibraryHasItsHome) {
  std::vector<std::string> findings;
  for_each_include([&](const SourceFile& file, std::size_t index, std::string_view path) {
    if (file.root() != "src" || file.lines[index].find('<') == std::string::npos) return;
    const auto home =
        std::find_if(kHomes.begin(), kHomes.end(), [&](const Home& h) { return path.starts_with(h.header); });
    if (home == kHomes.end()) return;
    const bool allowed = std::any_of(home->places.begin(), home->places.end(),
                                     [&](std::string_view place) { return file.path.starts_with(place); });
    if (!allowed) findings.push_back(at(file, index, "includes <" + std::string(path) + "> outside of its home"));
  });
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(Floors, ReferToFilesByTheirPathUnderSrc) {
  std::vector<std::string> findings;
  for_each_include([&](const SourceFile& file, std::size_t index, std::string_view path) {
    if (path.starts_with("../") || path.starts_with("./")) findings.push_back(at(file, index, "relative include"));
  });
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

}  // namespace
}  // namespace ferula::checks
