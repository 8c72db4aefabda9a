// `ferula config new`: a commented configuration from a preset and a few wishes.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace ferula {

/// A starting point with one sentence of help.
struct ConfigPreset {
  std::string name;
  std::string help;
  std::vector<std::string> sets;  // "key=value", as for `--set`
};

/// The presets, the default one first.
const std::vector<ConfigPreset>& config_presets();

/// The preset with `sets` (as for `--set`) over it, as TOML with a comment for each key. It loads without a mistake.
/// Throws ConfigError for an unknown preset, ConfigMistakes where a set is wrong.
std::string new_config_toml(const std::string& preset, std::span<const std::string> sets);

}  // namespace ferula
