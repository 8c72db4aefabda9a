// Mistakes of a configuration: where each one is, how it is shown, and the exception that carries all of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace ferula {

/// A stretch of one line of a configuration's text. Line and column count from 1, the column in characters.
/// Line 0 stands for a text without lines: an environment variable, a `--set` argument, a default.
struct SourceLocation {
  std::string origin;  // the file's name, "environment", "--set"
  std::int64_t line = 0;
  std::int64_t column = 1;
  std::int64_t length = 1;  // characters to underline
  std::string text;         // the whole line

  /// "train.toml:12:3", "environment", "--set".
  std::string label() const;
};

/// Another key that takes part in a mistake, and where it was given.
struct RelatedKey {
  std::string key;
  SourceLocation where;
};

/// One mistake: the key, what was expected and found, and what to do.
struct ConfigMistake {
  std::string key;      // dotted name as it was written; empty for a syntax error
  std::string message;  // one sentence
  std::string fix;      // what to do next; may be empty
  SourceLocation where;
  std::vector<RelatedKey> related = {};  // of a rule between keys: the others that were given

  /// The mistake with its source line and an underline, as it is printed.
  std::string shown() const;
};

/// All mistakes of one configuration, in the order of the text.
class ConfigMistakes : public ConfigError {
 public:
  explicit ConfigMistakes(std::vector<ConfigMistake> mistakes);
  const std::vector<ConfigMistake>& mistakes() const { return mistakes_; }

 private:
  std::vector<ConfigMistake> mistakes_;
};

/// Throws `ConfigMistakes` with `mistakes` sorted by place, unless there are none.
void throw_if_any(std::vector<ConfigMistake> mistakes);

/// The number of characters (code points) in valid UTF-8; bytes that do not belong count as one.
std::int64_t character_count(std::string_view text);

}  // namespace ferula
