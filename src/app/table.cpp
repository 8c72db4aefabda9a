#include "app/table.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace ferula {
namespace {

/// Characters, not bytes: cells may hold UTF-8.
std::size_t characters(const std::string& cell) {
  return static_cast<std::size_t>(std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

void Table::add(std::vector<std::string> row) {
  FERULA_CHECK(row.size() == rows_.front().size(), "{} cells under {} headings", row.size(), rows_.front().size());
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_)
    for (std::size_t column = 0; column < row.size(); ++column)
      widths[column] = std::max(widths[column], characters(row[column]));
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t column = 0; column < row.size(); ++column) {
      const std::string padding(widths[column] - characters(row[column]), ' ');
      const bool is_text = column == 0 || (column + 1 == row.size() && last_ == Last::text);
      line += (column == 0 ? "" : "  ") + (is_text ? row[column] + padding : padding + row[column]);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace ferula
