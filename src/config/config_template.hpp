// `ferula config new`: a commented configuration from a preset and a few wishes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "config/resolve_config.hpp"

namespace ferula {

/// A starting point with one sentence of help.
struct ConfigPreset {
  std::string name;
  std::string help;
  std::vector<std::string> lines;  // of TOML, a dotted key each
};

/// The presets, the default one first.
const std::vector<ConfigPreset>& config_presets();

/// What a configuration that was read says itself, as a starting point.
ConfigPreset preset_of(const LoadedConfig& loaded, std::string name);

/// The values of `base` with `sets` (as for `--set`) over it. Where the base contradicts the sets it gives way: a
/// source of data, a parameter of another type, a batch or a warm-up that does not fit. "auto" stays. Throws
/// ConfigMistakes where the sets themselves are wrong.
Config config_from(const ConfigPreset& base, std::span<const std::string> sets, const ResolveFacts& facts);

/// `config_from` the preset, as TOML with a comment for each key, which loads and, with `facts`, resolves without a
/// mistake. Throws ConfigError for an unknown preset, and as config_from does.
std::string new_config_toml(const std::string& preset, std::span<const std::string> sets,
                            const ResolveFacts& facts = {});

}  // namespace ferula
