#include "app/prompts.hpp"

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "base/error.hpp"

namespace ferula {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

[[noreturn]] void refuse(const std::string& problem) {
  DataError error(problem);
  error.share();
  throw error;
}

std::string prompt_of(const std::string& line, const std::string& where) {
  boost::system::error_code error;
  const boost::json::value parsed = boost::json::parse(line, error);
  const boost::json::value* text = &parsed;
  if (const boost::json::object* object = parsed.if_object()) text = object->if_contains("prompt");
  if (error || text == nullptr || !text->is_string())
    refuse(fmt::format("{}: expected a JSON string or {{\"prompt\": \"...\"}}, found '{}'{}", where, line.substr(0, 60),
                       error ? ": " + error.message() : ""));
  return std::string(text->as_string());
}

}  // namespace

std::vector<Prompt> read_prompts(const std::string& path, PromptReaders readers) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown))
    refuse(fmt::format("expected a file of prompts, but '{}' is a folder", path));
  std::ifstream lines(path);
  if (!lines) refuse(fmt::format("expected a file of prompts, but '{}' cannot be read", path));
  if (readers == PromptReaders::every_rank && !std::filesystem::is_regular_file(path, unknown))
    refuse(
        fmt::format("expected a regular file of prompts, which every rank can read, but '{}' is none; write the "
                    "prompts to a file, or use --ranks-simulated",
                    path));
  std::vector<Prompt> prompts;
  std::int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (number == 1 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string name = fmt::format("{}:{}", path, number);
    prompts.push_back({prompt_of(line, name), name});
  }
  if (prompts.empty()) refuse(fmt::format("'{}' holds no prompt", path));
  return prompts;
}

}  // namespace ferula
