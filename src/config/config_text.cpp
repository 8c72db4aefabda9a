// Everything here walks the table of settings.
#include "config/config_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "config/setting_value.hpp"

namespace ferula {
namespace {

/// The type that decides which parameters of the section exist; empty for other sections.
std::string type_of_section(const Config& config, const std::string& section) {
  if (section == "optimizer.params") return config.optimizer.type;
  if (section == "scheduler.params") return config.scheduler.type;
  return "";
}

bool belongs_to(const Setting& setting, const std::string& type) {
  return setting.types.empty() || std::find(setting.types.begin(), setting.types.end(), type) != setting.types.end();
}

bool is_written(const Setting& setting, const Config& config, const std::string& type) {
  if (!belongs_to(setting, type)) return false;
  if (setting.key == "training.epochs") return config.training.steps.is_auto();
  return !(setting.limits.may_be_empty && value_text(setting) == "\"\"");
}

std::string line_of(const Setting& setting, TomlComments comments) {
  std::string line = fmt::format("{} = {}", setting.name(), value_text(setting));
  if (comments == TomlComments::none) return line + "\n";
  std::string comment = setting.help;
  if (!setting.auto_rule.empty()) comment += fmt::format(" auto: {}.", setting.auto_rule);
  return fmt::format("# {}\n{}\n", comment, line);
}

/// Whether the configuration's own types read the setting at all.
bool is_read(const Setting& setting, const Config& config) {
  return belongs_to(setting, type_of_section(config, setting.key.substr(0, setting.key.rfind('.'))));
}

bool in_section(const Setting& setting, const std::string& section) {
  return setting.key.substr(0, setting.key.rfind('.')) == section;
}

}  // namespace

std::string to_toml(const Config& config, TomlComments comments) {
  Config copy = config;
  const std::vector<Setting> settings = settings_of(copy);
  std::string text;
  for (const Section& section : config_sections()) {
    const std::string type = type_of_section(copy, section.name);
    std::string lines;
    for (const Setting& setting : settings) {
      if (in_section(setting, section.name) && is_written(setting, copy, type)) lines += line_of(setting, comments);
    }
    if (lines.empty()) continue;
    if (!text.empty()) text += "\n";
    text += fmt::format("[{}]\n{}", section.name, lines);
  }
  return text;
}

std::vector<ConfigRow> config_rows(const LoadedConfig& loaded) {
  Config copy = loaded.config;
  std::vector<ConfigRow> rows;
  for (const Setting& setting : settings_of(copy)) {
    if (!is_read(setting, copy)) continue;
    const auto source = loaded.sources.find(setting.key);
    std::string words = source == loaded.sources.end() ? "default" : source->second.in_words();
    const std::string value = value_text(setting);
    if (value == "\"auto\"") words += ", known when the run starts";
    rows.push_back({setting.key, value, std::move(words)});
  }
  return rows;
}

std::vector<ConfigDifference> config_differences(const Config& before, const Config& after) {
  Config old_copy = before;
  Config new_copy = after;
  const std::vector<Setting> old_settings = settings_of(old_copy);
  const std::vector<Setting> new_settings = settings_of(new_copy);
  std::vector<ConfigDifference> differences;
  for (std::size_t i = 0; i < old_settings.size(); ++i) {
    const std::string old_text = value_text(old_settings[i]);
    const std::string new_text = value_text(new_settings[i]);
    if (old_text == new_text) continue;
    if (!is_read(old_settings[i], old_copy) && !is_read(new_settings[i], new_copy)) continue;
    differences.push_back({old_settings[i].key, old_text, new_text, old_settings[i].effect});
  }
  return differences;
}

std::vector<ConfigDifference> differences_that_matter(const Config& before, const Config& after) {
  std::vector<ConfigDifference> differences = config_differences(before, after);
  std::erase_if(differences, [](const ConfigDifference& each) { return each.effect == ResumeEffect::none; });
  return differences;
}

std::uint64_t config_digest(const Config& config) {
  Config copy = config;
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const Setting& setting : settings_of(copy)) {
    if (setting.effect == ResumeEffect::none) continue;
    for (const char c : fmt::format("{} = {}\n", setting.key, value_text(setting))) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    }
  }
  return hash;
}

}  // namespace ferula
