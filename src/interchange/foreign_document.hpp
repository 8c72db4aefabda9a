// Configurations of other programs as text: JSON with comments and YAML become the tree that a TOML text becomes, in
// which each key and value knows its place. yaml-cpp and Boost.JSON stay behind foreign_document.cpp.
#pragma once

#include <string>

#include "config/toml_document.hpp"

namespace ferula {

enum class ForeignFormat : unsigned char { json, yaml };

/// JSON where the first character that is neither blank nor in a comment opens an object or a list, else YAML.
ForeignFormat foreign_format(const std::string& text);

/// The table that `text`, the content of the file `origin`, holds. JSON may have // and /* */ comments and commas
/// behind the last entry; YAML is one document. Null is a monostate. Throws ConfigMistakes with the place of the first
/// mistake: syntax, a key that is given twice, no table, bytes that are no text, more than 20,000 values.
TomlNode parse_foreign(const std::string& text, const std::string& origin);

}  // namespace ferula
