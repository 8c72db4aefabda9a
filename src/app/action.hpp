// The word after a command that has several actions: `ferula config check`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/command_line.hpp"

namespace ferula {

/// The first positional. Throws ConfigError with the nearest of `actions` for an unknown word, and says of `later` ones
/// that this version does not have them.
std::string action_of(const CommandLine& line, std::string_view command, const std::vector<std::string>& actions,
                      const std::vector<std::string>& later);

}  // namespace ferula
