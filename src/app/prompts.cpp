#include "app/prompts.hpp"

#include <boost/json.hpp>
#include <fstream>

#include "base/error.hpp"

namespace ferula {
namespace {

std::string prompt_of(const std::string& line, const std::string& where) {
  boost::system::error_code error;
  const boost::json::value parsed = boost::json::parse(line, error);
  const boost::json::value* text = &parsed;
  if (const boost::json::object* object = parsed.if_object()) text = object->if_contains("prompt");
  if (error || text == nullptr || !text->is_string())
    throw DataError(fmt::format("{}: expected a JSON string or {{\"prompt\": \"...\"}}, found '{}'{}", where,
                                line.substr(0, 60), error ? ": " + error.message() : ""));
  return std::string(text->as_string());
}

}  // namespace

std::vector<Prompt> read_prompts(const std::string& path) {
  std::ifstream lines(path);
  if (!lines) throw DataError(fmt::format("expected a file of prompts, but '{}' cannot be read", path));
  std::vector<Prompt> prompts;
  std::int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string name = fmt::format("{}:{}", path, number);
    prompts.push_back({prompt_of(line, name), name});
  }
  if (prompts.empty()) throw DataError(fmt::format("'{}' holds no prompt", path));
  return prompts;
}

}  // namespace ferula
