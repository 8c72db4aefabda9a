// Small pieces of text: words of a command, numbers, lists.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// The words of a command as a shell takes them, with spaces between.
std::string command_text(const std::vector<std::string>& words);

/// A whole number of at least 0 and at most 2^62 that is all of `digits`; else empty.
std::optional<std::int64_t> whole_number(std::string_view digits);

/// The pieces between separators: one more than there are separators.
std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace ferula
