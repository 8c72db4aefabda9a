// What docs/development.md asks of the code and a machine can see: sizes, ownership, environment, words.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "source_tree.hpp"

namespace ferula::checks {
namespace {

constexpr std::size_t kLongestFile = 400;
constexpr std::size_t kLongestFunction = 60;

/// A pattern in code (comments and strings excluded) under src/ that is allowed in some places only.
struct Forbidden {
  const char* pattern;
  const char* reason;
  std::vector<std::string_view> allowed;
};
const std::vector<Forbidden> kForbidden{
    {R"(\bnew\s+[A-Za-z_:])", "a raw new: make an owner (std::make_unique, std::vector, Buffer)", {}},
    {R"((^|[^=\w]\s*)\bdelete\b(?!\s*;))", "a raw delete: make an owner", {}},
    {R"(\b(malloc|calloc|realloc)\s*\()", "C memory: use Buffer, Arena or std::vector", {}},
    {R"(\b(aligned_alloc|free)\s*\()", "tensor memory comes from the device", {"src/device/"}},
    {R"(\b(shared_ptr|make_shared)\b)", "shared ownership: say who owns it", {"src/base/log.cpp"}},
    {R"(\b(getenv|secure_getenv|environ)\b)",
     "the environment is read in config/ and comm/",
     {"src/config/", "src/comm/", "src/ops/cuda/fused_attention.cpp",  // which of a GPU's libraries is used
      "src/ops/cuda/launch.cpp"}},                                     // which of its ways to launch
    {R"(\batexit\s*\()", "work at exit: end it in a destructor", {}},
    {R"(^\s*#\s*(if|ifdef|ifndef|elif)\b)",
     "conditional code: CMake chooses files",
     {"src/ops/cpu/", "src/base/ticks.cpp", "src/comm/element_copies.cpp", "src/comm/group_channel.cpp",
      "src/comm/ordered_reduce.cpp"}},
    {R"((\bzero_?stage\w*|(config|settings|zero\w*)_?\.stage)\s*(==|!=|<=|>=|<|>)\s*[0-9])",
     "a ZeRO stage is known to the plan alone",
     {"src/params/zero_plan.cpp", "src/config/", "src/interchange/", "src/app/"}},
    {R"(\b(group|world|mesh|shard|replica|data|pipeline|tensor)\w*(\(\))?(\.|->)size\(\)\s*(>|!=|==)\s*1\b)",
     "a group of one does nothing by itself",
     {"src/comm/", "src/app/rank_context.cpp"}},
};

bool allowed_in(const SourceFile& file, const std::vector<std::string_view>& places) {
  return std::any_of(places.begin(), places.end(),
                     [&](std::string_view place) { return file.path.starts_with(place); });
}

/// Where clang-format has put the beginning of a function's body: "… {" after its parameters.
bool opens_function(const std::string& code) {
  static const std::regex kNoFunction(
      R"(^\s*(namespace|struct|class|enum|union|extern|template|if|for|while|switch|do|else|try)\b)");
  static const std::regex kOpens(R"(\)[^;={]*\{\s*$)");
  return std::regex_search(code, kOpens) && !std::regex_search(code, kNoFunction);
}

std::size_t indentation(const std::string& line) { return std::min(line.find_first_not_of(' '), line.size()); }

/// The first line of the function whose body is opened at `index`. clang-format breaks a kernel's head behind its
/// launch bounds, and indents what follows.
std::size_t head_of_function(const SourceFile& file, std::size_t index) {
  for (std::size_t line = index; line-- > 0 && index - line <= 4;)
    if (file.code[line].starts_with("__global__")) return line;
  return index;
}

/// The last line of the function that begins at `head` and whose body is opened at `opening`: the next closing brace
/// that is indented as its head.
std::size_t end_of_function(const SourceFile& file, std::size_t head, std::size_t opening) {
  const std::size_t depth = indentation(file.code[head]);
  for (std::size_t index = opening + 1; index < file.code.size(); ++index)
    if (indentation(file.code[index]) == depth && file.code[index].compare(depth, 1, "}") == 0) return index;
  return file.code.size() - 1;
}

TEST(Style, FilesFitOnAFewScreens) {
  std::vector<std::string> findings;
  for (const SourceFile& file : source_files())
    if (file.lines.size() > kLongestFile) findings.push_back(at(file, file.lines.size() - 1, "more than 400 lines"));
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(Style, FunctionsFitOnAScreen) {
  std::vector<std::string> findings;
  for (const SourceFile& file : source_files())
    for (std::size_t index = 0; index < file.code.size(); ++index) {
      if (!opens_function(file.code[index])) continue;
      const std::size_t head = head_of_function(file, index);
      if (indentation(file.code[head]) <= 2 && end_of_function(file, head, index) - index + 1 > kLongestFunction)
        findings.push_back(at(file, index, "a function of more than 60 lines"));
    }
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(Style, LinesAreAtMost120Characters) {
  std::vector<std::string> findings;
  for (const SourceFile& file : source_files())
    for (std::size_t index = 0; index < file.lines.size(); ++index) {
      const std::string& line = file.lines[index];
      const auto characters = std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
      const bool url = line.find("https://") != std::string::npos;
      if (characters > 120 && !url) findings.push_back(at(file, index, "longer than 120 characters"));
    }
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(Style, AFileSaysAtItsTopWhatItIsFor) {
  std::vector<std::string> findings;
  for (const SourceFile& file : source_files()) {
    const bool says = !file.lines.empty() && file.lines.front().starts_with("//");
    const std::string header = file.path.substr(0, file.path.rfind('.')) + ".hpp";  // it then says it for both
    const bool header_says = !file.is_header() && std::filesystem::exists(project_root() / header);
    if (!says && !header_says) findings.push_back(at(file, 0, "does not say what it is for"));
  }
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(Style, OwnershipEnvironmentAndBackendsStayInTheirPlaces) {
  std::vector<std::string> findings;
  for (const Forbidden& rule : kForbidden) {
    const std::regex pattern(rule.pattern);
    for (const SourceFile& file : source_files()) {
      if (file.root() != "src" || allowed_in(file, rule.allowed)) continue;
      for (std::size_t index = 0; index < file.code.size(); ++index)
        if (std::regex_search(file.code[index], pattern)) findings.push_back(at(file, index, rule.reason));
    }
  }
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

/// Else it could read what the kernel before it has yet to write (src/ops/cuda/previous_kernel.cuh).
TEST(Style, EveryKernelFirstAwaitsTheOneBefore) {
  const std::regex kernel(R"(^__global__\b)"), opens(R"(\{\s*$)"), launch("<<<");
  std::vector<std::string> findings;
  int kernels = 0;
  for (const SourceFile& file : source_files())
    for (std::size_t index = 0; file.root() == "src" && index < file.code.size(); ++index) {
      if (std::regex_search(file.code[index], launch)) findings.push_back(at(file, index, "use launch_kernel"));
      if (!std::regex_search(file.code[index], kernel)) continue;
      ++kernels;
      std::size_t body = index;
      while (body + 2 < file.code.size() && !std::regex_search(file.code[body], opens)) ++body;
      if (file.code[body + 1].find("await_previous_kernel();") == std::string::npos)
        findings.push_back(at(file, index, "a kernel that does not begin with await_previous_kernel()"));
    }
  EXPECT_TRUE(findings.empty()) << listed(findings);
  EXPECT_GE(kernels, 20);
}

TEST(Style, NothingIsLeftForLater) {
  const std::regex pattern(std::string("\\b(TO") + "DO|FIX" + "ME|X" + "XX|HA" + "CK)\\b");
  std::vector<std::string> findings;
  for (const SourceFile& file : source_files())
    for (std::size_t index = 0; index < file.lines.size(); ++index)
      if (std::regex_search(file.lines[index], pattern)) findings.push_back(at(file, index, "left for later"));
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

}  // namespace
}  // namespace ferula::checks
