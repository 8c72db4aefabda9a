// Reads a configuration: defaults < file < FERULA_… environment < --set, with every mistake reported at once.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/provenance.hpp"
#include "config/run_config.hpp"

namespace ferula {

/// A configuration and where each of its values comes from.
struct LoadedConfig {
  Config config;
  Provenance sources;
};

/// Names and values of environment variables.
using Environment = std::vector<std::pair<std::string, std::string>>;

/// The variables of this process whose names start with FERULA_.
Environment ferula_environment();

/// The text of the file. Throws ConfigError where it cannot be read or is larger than 1 MiB.
std::string read_config_text(const std::string& path);

/// Reads `text`, the content of the file `name`, then the environment (FERULA_TRAINING__STEPS=5 is training.steps),
/// then the `--set` arguments (training.steps=5; values are TOML, bare words are strings). Throws ConfigMistakes with
/// every mistake: of a file that is not TOML the first, of all others all (at most 100 are kept).
LoadedConfig load_config_text(const std::string& text, const std::string& name, const Environment& environment,
                              std::span<const std::string> sets);

/// `load_config_text` of the file at `path`.
LoadedConfig load_config(const std::string& path, const Environment& environment, std::span<const std::string> sets);

}  // namespace ferula
