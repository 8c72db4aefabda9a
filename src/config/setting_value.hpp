// Values of settings: from TOML into the member with all limits checked, and from the member into TOML.
#pragma once

#include <optional>
#include <string>

#include "config/setting.hpp"
#include "config/toml_document.hpp"

namespace ferula {

/// Why a value was not taken: what the setting expects, what was found instead, and what to write.
struct ValueProblem {
  std::string expected;
  std::string found;
  std::string fix;
};

/// Writes the value into the setting's member. On a problem the member keeps its old value.
/// An integral float is an integer where one is wanted, one string is a list of one, "auto" is legal where a rule
/// exists.
std::optional<ValueProblem> assign(Setting& setting, const TomlNode& node);

/// The value as TOML: 5, true, "adam", [0.9, 0.95], "auto".
std::string value_text(const Setting& setting);

/// Type, limits and unit in words: "an integer from 0 to 3", "a number, at least 0 and below 1".
std::string expectation_text(const Setting& setting);

/// Whether the member is of a text type, so that an unquoted word needs no quotes on the command line.
bool takes_text(const Setting& setting);

}  // namespace ferula
