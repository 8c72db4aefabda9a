// Where each value of a configuration comes from.
#pragma once

#include <map>
#include <string>

#include "config/diagnostic.hpp"

namespace ferula {

enum class SourceKind { default_value, file, environment, command_line, automatic };

/// The source of one value.
struct ValueSource {
  SourceKind kind = SourceKind::default_value;
  SourceLocation where;  // of the value; empty for a default
  std::string reason;    // of an automatic value: the rule and the numbers that went into it

  /// "default", "train.toml:12", "environment", "--set", "auto: heads is 8".
  std::string in_words() const;
};

/// The sources of all settings by their dotted names.
using Provenance = std::map<std::string, ValueSource>;

}  // namespace ferula
