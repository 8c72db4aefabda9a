// The project's own source files as the checks read them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ferula::checks {

struct SourceFile {
  std::string path;                // from the root: "src/comm/mesh.hpp"
  std::vector<std::string> lines;  // as they are
  std::vector<std::string> code;   // the same lines with comments and the contents of strings blanked out

  /// "src" or "tests".
  std::string_view root() const;
  /// The folder under src/, e.g. "comm"; empty for src/main.cpp and outside src/.
  std::string_view floor() const;
  bool is_header() const { return path.ends_with(".hpp") || path.ends_with(".cuh"); }
};

/// Every .cpp, .hpp, .cu and .cuh file under src/ and tests/, sorted by path.
const std::vector<SourceFile>& source_files();
/// The root of the project.
std::filesystem::path project_root();
/// "path:line: what"; lines count from 1.
std::string at(const SourceFile& file, std::size_t index, std::string_view what);
/// One line each, for a test's message.
std::string listed(const std::vector<std::string>& findings);

}  // namespace ferula::checks
