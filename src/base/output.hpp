// Results on standard output: they are what a command is for and must not be lost in silence.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace ferula {

/// Returns where `reason` (of errno) is none, or a reader that went away: `| head` has what it wants. Else throws
/// CapacityError for a full disk and DeviceError for anything else.
void check_output(int reason);

/// Writes `text` to standard output at once; throws as check_output does.
void write_output(std::string_view text);

/// The same for a text with placeholders (fmt syntax).
template <class... Arguments>
void print_output(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write_output(fmt::format(format, std::forward<Arguments>(arguments)...));
}

}  // namespace ferula
