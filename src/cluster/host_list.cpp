#include "cluster/host_list.hpp"

#include <fmt/format.h>

#include <cstdint>

#include "cluster/words.hpp"

namespace ferula {
namespace {

constexpr std::size_t kMostHosts = 65'536;
using Names = std::vector<std::string>;

/// Cuts at commas outside of brackets.
std::vector<std::string_view> split_outside(std::string_view list) {
  std::vector<std::string_view> pieces;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t at = 0; at <= list.size(); ++at) {
    if (at == list.size() || (list[at] == ',' && depth == 0)) {
      pieces.push_back(list.substr(begin, at - begin));
      begin = at + 1;
    } else if (list[at] == '[') {
      ++depth;
    } else if (list[at] == ']') {
      --depth;
    }
  }
  return pieces;
}

/// "01-03" becomes 01, 02, 03: as wide as its beginning.
std::optional<Names> expand_range(std::string_view range) {
  const std::size_t dash = range.find('-');
  const std::string_view from = range.substr(0, dash);
  const auto first = whole_number(from),
             last = dash == std::string_view::npos ? first : whole_number(range.substr(dash + 1));
  if (!first || !last || *last < *first || *last - *first >= static_cast<std::int64_t>(kMostHosts)) return std::nullopt;
  Names numbers;
  for (std::int64_t value = *first; value <= *last; ++value)
    numbers.push_back(fmt::format("{:0{}}", value, from.size()));
  return numbers;
}

std::optional<Names> expand_name(std::string_view name) {
  const std::size_t open = name.find('[');
  if (open == std::string_view::npos) {
    if (name.empty() || name.find_first_of(" \t]") != std::string_view::npos) return std::nullopt;
    return Names{std::string(name)};
  }
  const std::size_t close = name.find(']', open);
  if (close == std::string_view::npos) return std::nullopt;
  const std::string_view rest = name.substr(close + 1);
  const std::optional<Names> tails = rest.empty() ? Names{""} : expand_name(rest);
  if (!tails) return std::nullopt;
  Names names;
  for (const std::string_view range : split_outside(name.substr(open + 1, close - open - 1))) {
    const auto numbers = expand_range(range);
    if (!numbers || names.size() + numbers->size() * tails->size() > kMostHosts) return std::nullopt;
    for (const std::string& middle : *numbers)
      for (const std::string& tail : *tails) names.push_back(fmt::format("{}{}{}", name.substr(0, open), middle, tail));
  }
  return names;
}

}  // namespace

std::optional<std::vector<std::string>> expand_host_list(std::string_view list) {
  Names names;
  for (const std::string_view piece : split_outside(list)) {
    const auto expanded = expand_name(piece);
    if (!expanded || names.size() + expanded->size() > kMostHosts) return std::nullopt;
    names.insert(names.end(), expanded->begin(), expanded->end());
  }
  return names;
}

}  // namespace ferula
