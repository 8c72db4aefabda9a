// Prompts from a file of JSON lines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ferula {

struct Prompt {
  std::string text;
  std::string name;        // for messages: "prompts.jsonl:3"
  std::int64_t index = 0;  // of its text, where several are wanted of one prompt
};

/// `one`: this process alone reads the file. `every_rank`: each reads it for itself, so that it must be a regular file:
/// a pipe gives each byte to one of them, and the launcher gives ranks no standard input.
enum class PromptReaders : unsigned char { one, every_rank };

/// One prompt a line: a JSON string, or an object with the string "prompt" (other members are ignored). A byte order
/// mark and empty lines are skipped. Throws DataError with file and line for anything else, and where there is no
/// prompt at all; the error is shared, because every rank finds the same.
std::vector<Prompt> read_prompts(const std::string& path, PromptReaders readers = PromptReaders::one);

}  // namespace ferula
