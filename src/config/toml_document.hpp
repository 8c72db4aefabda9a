// A parsed TOML text as a plain tree in which each key and value knows its place. toml11 stays behind
// toml_document.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "config/diagnostic.hpp"

namespace ferula {

struct TomlEntry;

/// A value; `where` is its own place, or that of the `[header]` that opened a table.
struct TomlNode {
  using List = std::vector<TomlNode>;
  using Table = std::map<std::string, TomlEntry>;

  /// The monostate is a value that no setting wants: a date or a time, or a number out of range.
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Table> value;
  SourceLocation where;

  /// The value in words: "the integer 5", "the string \"abc\"", "a list".
  std::string in_words() const;
};

struct TomlEntry {
  TomlNode node;
  SourceLocation key;
};

/// Parses the text of the file `origin` after the guard. Throws ConfigMistakes with the first syntax error.
TomlNode parse_toml(const std::string& text, const std::string& origin);

/// The value of `text` as it would stand behind `key =`; a text that is no TOML value is a string: the bare words of
/// `--set` and of the environment. All of it gets the place `where`. The guard has let `text` pass.
TomlNode parse_toml_value(const std::string& text, const SourceLocation& where);
/// Whether `text` begins as a TOML text, table or list of texts, which no bare word does, but is none.
bool is_broken_toml_value(const std::string& text);

/// `text` as a TOML basic string, with quotes and escapes.
std::string toml_quoted(const std::string& text);

}  // namespace ferula
