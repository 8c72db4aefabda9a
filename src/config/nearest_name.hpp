// The name that a mistyped word most likely meant.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ferula {

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string alignment).
std::int64_t edit_distance(std::string_view a, std::string_view b);

/// The nearest of `names`, or nothing where none is near enough to be meant (a third of the longer word, at least one
/// edit). Case does not count; the first of equally near ones wins.
std::optional<std::string> nearest_name(std::string_view word, std::span<const std::string> names);

}  // namespace ferula
