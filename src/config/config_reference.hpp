// The reference of all keys, written from the table of settings: `ferula config keys` and docs/configuration.md.
#pragma once

#include <optional>
#include <string>

namespace ferula {

/// For a terminal: each key with type, default, limits and help. `filter` keeps the keys that contain it: empty where
/// none does.
std::string config_keys_text(const std::string& filter = "");

/// The key, its section or its last part that a word which no key contains most likely meant.
std::optional<std::string> nearest_key(const std::string& word);

/// The text of docs/configuration.md, from first to last byte.
std::string config_keys_markdown();

}  // namespace ferula
