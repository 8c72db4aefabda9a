// Walks over TOML text to find where its keys stand: toml11 locates values but not keys.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "config/diagnostic.hpp"

namespace ferula {

/// The offset behind the string literal (basic, literal, or multi-line) whose first quote is at `start`. An
/// unterminated single-line string ends at its line, a multi-line one at the end of the text.
std::size_t end_of_string(std::string_view text, std::size_t start);

/// The offset of the newline that ends the line of `start`, or the end of the text.
std::size_t end_of_line(std::string_view text, std::size_t start);

/// The place of the `length` bytes at `offset`, cut at the end of their line. Reads the text up to there; a line that
/// is too long to be shown is left out.
SourceLocation location_of(std::string_view text, const std::string& origin, std::size_t offset, std::size_t length);

/// Bytes of a text.
struct TextRange {
  std::size_t offset = 0;
  std::size_t length = 0;
};

/// For each key and table header of a syntactically valid document: its dotted name and the bytes of its last part.
/// A name that occurs again (a table that is reopened) keeps its first place. One pass over the text.
std::map<std::string, TextRange> find_keys(std::string_view text);

}  // namespace ferula
