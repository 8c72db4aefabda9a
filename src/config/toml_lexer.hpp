// Walks over TOML text to find where its keys stand: toml11 locates values but not keys.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "config/source_text.hpp"

namespace ferula {

/// The offset behind the string literal (basic, literal, or multi-line) whose first quote is at `start`. An
/// unterminated single-line string ends at its line, a multi-line one at the end of the text.
std::size_t end_of_string(std::string_view text, std::size_t start);

/// The offset of the newline that ends the line of `start`, or the end of the text.
std::size_t end_of_line(std::string_view text, std::size_t start);

/// The offset of the outermost list that is open at `end`, if there is one.
std::optional<std::size_t> open_list(std::string_view text, std::size_t end);

/// Where a key and its value stand.
struct KeyPlace {
  TextRange key;    // the last part of the name
  TextRange value;  // empty for a table that a header opens
};

/// For each key and table header of a syntactically valid document: its dotted name and its place.
/// A name that occurs again (a table that is reopened) keeps its first place. One pass over the text.
std::map<std::string, KeyPlace> find_keys(std::string_view text);

}  // namespace ferula
