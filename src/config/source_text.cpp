// An index of line starts.
#include "config/source_text.hpp"

#include <algorithm>
#include <utility>

namespace ferula {
namespace {

constexpr std::size_t kShownLineBytes = 200;

}  // namespace

SourceText::SourceText(std::string_view text, std::string origin) : text_(text), origin_(std::move(origin)) {
  line_starts_.push_back(0);
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '\n') line_starts_.push_back(i + 1);
}

SourceLocation SourceText::at(TextRange range) const {
  const std::size_t offset = std::min(range.offset, text_.size());
  const auto behind = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const std::size_t begin = *std::prev(behind);
  const std::size_t end = behind == line_starts_.end() ? text_.size() : *behind - 1;
  std::string_view line = text_.substr(begin, end - begin);
  if (line.ends_with('\r')) line.remove_suffix(1);
  SourceLocation where{.origin = origin_, .line = behind - line_starts_.begin(), .column = 1, .length = 1, .text = ""};
  if (line.size() > kShownLineBytes) {  // its column in bytes: counting characters of it for each key is quadratic
    where.column = static_cast<std::int64_t>(1 + std::min(offset - begin, line.size()));
    return where;
  }
  const std::size_t in_line = std::min(offset - begin, line.size());
  where.column = 1 + character_count(line.substr(0, in_line));
  where.length = std::max<std::int64_t>(1, character_count(line.substr(in_line, range.length)));
  where.text = line;
  return where;
}

}  // namespace ferula
