// Prompts from a file of JSON lines.
#pragma once

#include <string>
#include <vector>

namespace ferula {

struct Prompt {
  std::string text;
  std::string name;  // for messages: "prompts.jsonl:3"
};

/// One prompt a line: a JSON string, or an object with the string "prompt" (other members are ignored). Empty lines are
/// skipped. Throws DataError with file and line for anything else, and where there is no prompt at all.
std::vector<Prompt> read_prompts(const std::string& path);

}  // namespace ferula
