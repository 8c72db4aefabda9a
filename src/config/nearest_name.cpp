// Edit distance by dynamic programming over three rows.
#include "config/nearest_name.hpp"

#include <algorithm>
#include <vector>

namespace ferula {
namespace {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

}  // namespace

std::int64_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::int64_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = static_cast<std::int64_t>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<std::int64_t>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::int64_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

std::optional<std::string> nearest_name(std::string_view word, std::span<const std::string> names) {
  constexpr std::size_t kLongestWord = 100;  // nobody mistypes a name into more; bounds the quadratic cost
  if (word.size() > kLongestWord) return std::nullopt;
  const std::string wanted = lower_case(word);
  std::optional<std::string> best;
  std::int64_t best_distance = 0;
  for (const std::string& name : names) {
    const std::int64_t distance = edit_distance(wanted, lower_case(name));
    const auto limit = static_cast<std::int64_t>(std::max<std::size_t>(1, std::max(word.size(), name.size()) / 3));
    if (distance > limit || (best && distance >= best_distance)) continue;
    best = name;
    best_distance = distance;
  }
  return best;
}

}  // namespace ferula
