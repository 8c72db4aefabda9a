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

/// The preset with `sets` (as for `--set`) over it, as TOML with a comment for each key. Where the preset contradicts
/// the sets it gives way: a source of data, a parameter of another type, a batch or a warm-up that does not fit. The
/// text loads and, with `facts`, resolves without a mistake. Throws ConfigError for an unknown preset, ConfigMistakes
/// where the sets themselves are wrong.
std::string new_config_toml(const std::string& preset, std::span<const std::string> sets,
                            const ResolveFacts& facts = {});

}  // namespace ferula
