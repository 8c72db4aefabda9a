// A text of lines in which the place of any byte is found quickly.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.hpp"

namespace ferula {

/// Bytes of a text.
struct TextRange {
  std::size_t offset = 0;
  std::size_t length = 0;
};

/// Views the text of the file `origin`.
class SourceText {
 public:
  SourceText(std::string_view text, std::string origin);

  /// The place of a range, cut at the end of its first line. A line that is too long to be shown is left out.
  /// Cost: a binary search over the lines, and the line.
  SourceLocation at(TextRange range) const;

 private:
  std::string_view text_;
  std::string origin_;
  std::vector<std::size_t> line_starts_;
};

}  // namespace ferula
