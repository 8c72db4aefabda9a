// The three layers of a configuration, then the rules between its keys.
#include "config/load_config.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "config/config_reader.hpp"
#include "config/config_rules.hpp"
#include "config/model_origin.hpp"
#include "config/nearest_name.hpp"
#include "config/setting.hpp"
#include "config/toml_document.hpp"
#include "config/toml_guard.hpp"

namespace ferula {
namespace {

constexpr std::string_view kPrefix = "FERULA_";

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string upper_case(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

/// "training.steps" for FERULA_TRAINING__STEPS; nothing for a name without a double underscore.
std::string key_of_variable(const std::string& name) {
  std::string key = lower_case(name.substr(kPrefix.size()));
  if (key.find("__") == std::string::npos) return "";
  for (std::size_t at = key.find("__"); at != std::string::npos; at = key.find("__", at + 1)) key.replace(at, 2, ".");
  return key;
}

/// What a setting is called in a variable, without the prefix: "training__steps".
std::vector<std::string> words_of_settings() {
  Config any;
  std::vector<std::string> words;
  for (const Setting& setting : settings_of(any)) {
    words.push_back(setting.key);
    for (std::size_t dot = words.back().find('.'); dot != std::string::npos; dot = words.back().find('.'))
      words.back().replace(dot, 1, "__");
  }
  return words;
}

/// The setting that a variable without a double underscore surely means: by its key alone, by its section, or nearly.
std::optional<std::string> meant_setting(const std::string& word) {
  const std::vector<std::string> words = words_of_settings();
  for (const std::string& known : words)
    if (known.ends_with("__" + word) || known.starts_with(word + "__")) return known;
  return nearest_name(word, words);
}

/// FERULA_SEED, FERULA_TRAINING_STEPS. Other variables may belong to somebody else.
void report_single_underscore(MistakeCollector& mistakes, const std::string& name, const SourceLocation& where) {
  const auto meant = meant_setting(lower_case(name.substr(kPrefix.size())));
  if (!meant) return;
  mistakes.add({.key = name,
                .message = fmt::format("the environment variable {} is no setting", name),
                .fix = fmt::format("write section and key with a double underscore between: did you mean {}{}?",
                                   kPrefix, upper_case(*meant)),
                .where = where});
}

/// "name=value" as a place of its own: `length` characters from `column` on.
SourceLocation place_in(const std::string& origin, const std::string& text, std::int64_t column, std::int64_t length) {
  return {.origin = origin, .line = 0, .column = column, .length = length, .text = text};
}

Assignment assignment_of(std::string key, const std::string& origin, const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::int64_t key_length = character_count(text.substr(0, equals));
  std::string value = text.substr(equals + 1);
  const std::int64_t value_length = character_count(value);
  return {.key = std::move(key),
          .value = std::move(value),
          .key_place = place_in(origin, text, 1, key_length),
          .value_place = place_in(origin, text, key_length + 2, value_length)};
}

/// Whether `text` may be shown and parsed at all.
bool is_readable(MistakeCollector& mistakes, const std::string& origin, const std::string& name,
                 const std::string& text) {
  const auto finding = refuse_toml(text);
  if (!finding) return true;
  mistakes.add({.key = "",
                .message = fmt::format("expected {}, found {}", finding->expected, finding->found),
                .fix = fmt::format("look at {}", name),
                .where = {.origin = origin, .line = 0, .text = ""}});
  return false;
}

void apply_environment(ConfigReader& reader, MistakeCollector& mistakes, const Environment& environment) {
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kPrefix)) continue;
    const std::string text = fmt::format("{}={}", name, value);
    if (!is_readable(mistakes, "environment", "the FERULA_ variables", text)) continue;
    const std::string key = key_of_variable(name);
    if (key.empty()) {
      report_single_underscore(mistakes, name, place_in("environment", text, 1, character_count(name)));
    } else {
      reader.apply_assignment(assignment_of(key, "environment", text), SourceKind::environment);
    }
  }
}

void apply_sets(ConfigReader& reader, MistakeCollector& mistakes, std::span<const std::string> sets) {
  for (const std::string& set : sets) {
    if (!is_readable(mistakes, "--set", "the --set arguments", set)) continue;
    const std::size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0) {
      mistakes.add({.key = set,
                    .message = fmt::format("expected --set key=value, found '{}'", set),
                    .fix = "write for example --set training.steps=100",
                    .where = place_in("--set", set, 1, character_count(set))});
    } else {
      reader.apply_assignment(assignment_of(set.substr(0, equals), "--set", set), SourceKind::command_line);
    }
  }
}

}  // namespace

Environment ferula_environment() {
  Environment found;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    const std::size_t equals = variable.find('=');
    if (!variable.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    found.emplace_back(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return found;
}

std::string read_config_text(const std::string& path, std::string_view advice) {
  const auto refuse = [&](std::string_view why) {
    throw ConfigError(fmt::format("expected a configuration file, but '{}' {}; {}", path, why, advice));
  };
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) refuse("is a folder");
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) refuse(fmt::format("cannot be read: {}", std::generic_category().message(errno)));
  std::string text(kMostConfigBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof())) refuse("cannot be read");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.find_first_not_of(" \t\r\n") == std::string::npos)
    refuse("is empty (of a pipe that is what ranks see: only a file reaches them all)");
  return text;
}

ConfigDraft draft_config_text(const std::string& text, const std::string& name, const Environment& environment,
                              std::span<const std::string> sets, ConfigUse use) {
  const TomlNode document = parse_toml(text, name);
  ConfigDraft draft;
  ConfigReader reader(draft.loaded, draft.mistakes);
  reader.apply_document(document);
  apply_environment(reader, draft.mistakes, environment);
  apply_sets(reader, draft.mistakes, sets);
  apply_type_defaults(draft.loaded);
  apply_model_path(draft.loaded, draft.mistakes);
  check_config_rules(draft.loaded, draft.mistakes, use);
  return draft;
}

ConfigDraft draft_config(const std::string& path, const Environment& environment, std::span<const std::string> sets,
                         ConfigUse use) {
  return draft_config_text(read_config_text(path), path, environment, sets, use);
}

LoadedConfig load_config_text(const std::string& text, const std::string& name, const Environment& environment,
                              std::span<const std::string> sets, ConfigUse use) {
  ConfigDraft draft = draft_config_text(text, name, environment, sets, use);
  draft.mistakes.throw_if_any();
  return std::move(draft.loaded);
}

LoadedConfig load_config(const std::string& path, const Environment& environment, std::span<const std::string> sets) {
  return load_config_text(read_config_text(path), path, environment, sets);
}

}  // namespace ferula
