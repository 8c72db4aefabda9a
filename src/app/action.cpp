#include "app/action.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "config/nearest_name.hpp"

namespace ferula {

std::string action_of(const CommandLine& line, std::string_view command, const std::vector<std::string>& actions,
                      const std::vector<std::string>& later) {
  const std::string choices = fmt::format("{}", fmt::join(actions, ", "));
  const std::string& word = line.positional(0, "one of " + choices);
  if (std::find(actions.begin(), actions.end(), word) != actions.end()) return word;
  if (std::find(later.begin(), later.end(), word) != later.end())
    throw ConfigError(
        fmt::format("`ferula {} {}` does not exist in this version; there are: {}", command, word, choices));
  const std::optional<std::string> near = nearest_name(word, actions);
  throw ConfigError(fmt::format("`ferula {}` expects one of {}, found '{}'{}", command, choices, word,
                                near ? fmt::format(", did you mean '{}'?", *near) : ""));
}

}  // namespace ferula
