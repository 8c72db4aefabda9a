// Sources in words.
#include "config/provenance.hpp"

#include <fmt/format.h>

namespace ferula {

std::string ValueSource::in_words() const {
  switch (kind) {
    case SourceKind::default_value:
      return "default";
    case SourceKind::file:
      return fmt::format("{}:{}", where.origin, where.line);
    case SourceKind::environment:
      return "environment " + where.text.substr(0, where.text.find('='));
    case SourceKind::command_line:
      return "--set";
    case SourceKind::automatic:
      return "auto: " + reason;
  }
  return "";
}

}  // namespace ferula
