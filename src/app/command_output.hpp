// What another program prints, where it answers at all.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace ferula {

/// Standard output of a line of the shell, whose errors are dropped. Nothing where it cannot be started, fails, or has
/// not ended within `patience`; it is killed then.
std::optional<std::string> command_output(const std::string& command, std::chrono::milliseconds patience);

}  // namespace ferula
