// A configuration as text: TOML that can be loaded again, rows for `config show`, digest and differences.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/load_config.hpp"
#include "config/setting.hpp"

namespace ferula {

enum class TomlComments { none, help };

/// The configuration as TOML; `load_config_text` of it gives the same values. Parameters that the chosen optimizer or
/// scheduler does not have are left out, and so are `epochs` where `steps` are known.
std::string to_toml(const Config& config, TomlComments comments = TomlComments::none);

/// One row of `config show`.
struct ConfigRow {
  std::string key;
  std::string value;   // as TOML
  std::string source;  // "default", "train.toml:12", "--set", "auto: …"
};

/// All settings with their values and sources, in the order of the reference.
std::vector<ConfigRow> config_rows(const LoadedConfig& loaded);

/// A setting whose value differs between two configurations.
struct ConfigDifference {
  std::string key;
  std::string before;
  std::string after;
  ResumeEffect effect = ResumeEffect::none;
};

/// Every setting that one of the two reads and whose values differ.
std::vector<ConfigDifference> config_differences(const Config& before, const Config& after);

/// The settings whose change matters to a run that is resumed: those of the model and tokenizer make it impossible,
/// those of data, batch, optimizer and schedule change what is computed. Both configurations must be resolved.
std::vector<ConfigDifference> differences_that_matter(const Config& before, const Config& after);

/// FNV-1a over the names and values of all settings that matter to a resumed run.
std::uint64_t config_digest(const Config& config);

}  // namespace ferula
