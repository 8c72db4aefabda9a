// Keys that people know from DeepSpeed, or that belong to features to come, and why each is refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// `later`: a feature that does not exist yet. `meaningless`: nothing here depends on it.
enum class Refusal : unsigned char { later, meaningless };

/// A key, or a table with everything in it, that is known and refused.
struct RefusedKey {
  std::string key;     // dotted
  std::string reason;  // a clause that follows the key's name
  std::string fix;     // may be empty
  Refusal refusal = Refusal::later;
};

/// A key of a feature that does not exist yet, and one that means nothing here.
RefusedKey later_feature(std::string key, std::string_view feature);
RefusedKey without_meaning(std::string key, std::string_view because);

/// All refused keys, in the order of the reference.
const std::vector<RefusedKey>& refused_keys();

/// The entry of this key or of a table that it is in.
const RefusedKey* find_refused_key(std::string_view key);
/// The entry of DeepSpeed's key `name`, of its top level or of zero_optimization, that stands in another section.
const RefusedKey* find_misplaced_key(std::string_view name);

}  // namespace ferula
