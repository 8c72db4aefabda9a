// Names that people bring from other programs' configurations (Hugging Face's Trainer and models, accelerate,
// DeepSpeed's parts) and may write in any section: what each is called here, or why it is refused.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/refused_keys.hpp"

namespace ferula {

/// A name without its section, refused wherever it stands.
struct ForeignName {
  RefusedKey refused;
  std::vector<std::string> ours;  // the settings that mean the same; empty where there is none
};

/// All of them, in the order of the reference.
const std::vector<ForeignName>& foreign_names();

/// The entry of exactly this name.
const ForeignName* find_foreign_name(std::string_view name);

}  // namespace ferula
