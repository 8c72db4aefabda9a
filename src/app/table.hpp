// Plain tables for terminals: a header and rows, columns as wide as their longest cell.
#pragma once

#include <string>
#include <vector>

namespace ferula {

/// The first column is aligned to the left, the others to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

  /// A row of as many cells as the header has.
  void add(std::vector<std::string> row);
  /// Two spaces between columns, no trailing spaces, a newline behind every row.
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace ferula
