// Plain tables for terminals: a header and rows, columns as wide as their longest cell.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ferula {

/// The first column is aligned to the left, and the last one where it holds texts; the others to the right.
class Table {
 public:
  enum class Last : std::uint8_t { number, text };
  explicit Table(std::vector<std::string> header, Last last = Last::number) : last_(last) {
    rows_.push_back(std::move(header));
  }

  /// A row of as many cells as the header has.
  void add(std::vector<std::string> row);
  /// Two spaces between columns, no trailing spaces, a newline behind every row.
  std::string text() const;

 private:
  Last last_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace ferula
