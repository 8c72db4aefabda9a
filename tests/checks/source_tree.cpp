#include "source_tree.hpp"

#include <algorithm>
#include <array>
#include <fstream>

namespace ferula::checks {
namespace {

/// Blanks comments and string contents of C++ text, line by line. Raw strings count as strings.
class CodeOnly {
 public:
  std::string line(const std::string& text) {
    std::string code(text.size(), ' ');
    for (std::size_t at = 0; at < text.size();) at = step(text, at, code);
    return code;
  }

 private:
  std::size_t step(const std::string& text, std::size_t at, std::string& code) {
    if (!raw_end_.empty()) return skip_to(text, at, raw_end_);
    if (in_comment_) {
      const std::size_t end = text.find("*/", at);
      in_comment_ = end == std::string::npos;
      return in_comment_ ? text.size() : end + 2;
    }
    if (text.compare(at, 2, "//") == 0) return text.size();
    if (text.compare(at, 2, "/*") == 0) {
      in_comment_ = true;
      return at + 2;
    }
    if (text.compare(at, 2, "R\"") == 0) {
      raw_end_ = ")" + text.substr(at + 2, text.find('(', at) - at - 2) + "\"";
      return at + 2;
    }
    const bool digit_separator = text[at] == '\'' && at > 0 && std::isxdigit(static_cast<unsigned char>(text[at - 1]));
    if (text[at] == '"' || (text[at] == '\'' && !digit_separator)) return skip_literal(text, at, code);
    code[at] = text[at];
    return at + 1;
  }
  std::size_t skip_to(const std::string& text, std::size_t at, const std::string& end) {
    const std::size_t found = text.find(end, at);
    if (found == std::string::npos) return text.size();
    const std::size_t length = end.size();
    raw_end_.clear();
    return found + length;
  }
  static std::size_t skip_literal(const std::string& text, std::size_t at, std::string& code) {
    const char quote = text[at];
    code[at] = quote;
    for (++at; at < text.size() && text[at] != quote; ++at)
      if (text[at] == '\\') ++at;
    if (at < text.size()) code[at] = quote;
    return at + 1;
  }

  bool in_comment_ = false;
  std::string raw_end_;
};

SourceFile read(const std::filesystem::path& path) {
  SourceFile file{.path = std::filesystem::relative(path, project_root()).string(), .lines = {}, .code = {}};
  std::ifstream stream(path);
  CodeOnly code_only;
  for (std::string line; std::getline(stream, line);) {
    file.code.push_back(code_only.line(line));
    file.lines.push_back(std::move(line));
  }
  return file;
}

bool is_source(const std::filesystem::path& path) {
  constexpr std::array<std::string_view, 4> kExtensions{".cpp", ".hpp", ".cu", ".cuh"};
  return std::find(kExtensions.begin(), kExtensions.end(), path.extension()) != kExtensions.end();
}

std::vector<SourceFile> read_all() {
  std::vector<SourceFile> files;
  for (const char* root : {"src", "tests"})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(project_root() / root))
      if (is_source(entry.path())) files.push_back(read(entry.path()));
  std::sort(files.begin(), files.end(), [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace

std::string_view SourceFile::root() const { return std::string_view(path).substr(0, path.find('/')); }

std::string_view SourceFile::floor() const {
  if (root() != "src") return {};
  const std::string_view rest = std::string_view(path).substr(4);
  const std::size_t slash = rest.find('/');
  return slash == std::string_view::npos ? std::string_view{} : rest.substr(0, slash);
}

const std::vector<SourceFile>& source_files() {
  static const std::vector<SourceFile> kFiles = read_all();
  return kFiles;
}

std::filesystem::path project_root() { return FERULA_SOURCE_DIR; }

std::string at(const SourceFile& file, std::size_t index, std::string_view what) {
  return file.path + ":" + std::to_string(index + 1) + ": " + std::string(what);
}

std::string listed(const std::vector<std::string>& findings) {
  std::string text;
  for (const std::string& finding : findings) text += finding + "\n";
  return text;
}

}  // namespace ferula::checks
