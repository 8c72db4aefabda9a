// Keys that people know from DeepSpeed, or that belong to features to come, and why each is refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// A key, or a table with everything in it, that is known and refused.
struct RefusedKey {
  std::string key;     // dotted
  std::string reason;  // a clause that follows the key's name
  std::string fix;     // may be empty
};

/// All refused keys, in the order of the reference.
const std::vector<RefusedKey>& refused_keys();

/// The entry of exactly this key.
const RefusedKey* find_refused_key(std::string_view key);

}  // namespace ferula
