// Reads a configuration: defaults < file < FERULA_… environment < --set, with every mistake reported at once.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/mistake_collector.hpp"
#include "config/provenance.hpp"
#include "config/run_config.hpp"

namespace ferula {

/// A configuration and where each of its values comes from.
struct LoadedConfig {
  Config config;
  Provenance sources;
};

/// A configuration as it was read, with the mistakes so far: a value that is wrong stands at its default.
struct ConfigDraft {
  LoadedConfig loaded;
  MistakeCollector mistakes;
};

/// What a configuration is for: inference needs no data, no batches and no steps.
enum class ConfigUse { training, inference };

/// Names and values of environment variables.
using Environment = std::vector<std::pair<std::string, std::string>>;

/// The variables of this process whose names start with FERULA_.
Environment ferula_environment();

/// The text of the file. Throws ConfigError, with `advice`, where it cannot be read, is empty or a folder. Of a file
/// above 1 MiB only so much is read that the guard refuses it.
std::string read_config_text(const std::string& path,
                             std::string_view advice =
                                 "give the path of a TOML file, or write one with `ferula config "
                                 "new`");

/// Reads `text`, the content of the file `name`, then the environment (FERULA_TRAINING__STEPS=5 is training.steps),
/// then the `--set` arguments (training.steps=5; values are TOML, bare words are strings). Throws ConfigMistakes where
/// the file is not TOML, with the first mistake; collects all others (at most 100), for `resolve_config` to add its
/// own. `[model] path` then gives the shape of the model that is there.
ConfigDraft draft_config_text(const std::string& text, const std::string& name, const Environment& environment,
                              std::span<const std::string> sets, ConfigUse use = ConfigUse::training);

/// `draft_config_text` of the file at `path`.
ConfigDraft draft_config(const std::string& path, const Environment& environment, std::span<const std::string> sets,
                         ConfigUse use = ConfigUse::training);

/// A draft that must be without mistakes: throws ConfigMistakes with every one.
LoadedConfig load_config_text(const std::string& text, const std::string& name, const Environment& environment,
                              std::span<const std::string> sets, ConfigUse use = ConfigUse::training);

/// `load_config_text` of the file at `path`.
LoadedConfig load_config(const std::string& path, const Environment& environment, std::span<const std::string> sets);

}  // namespace ferula
