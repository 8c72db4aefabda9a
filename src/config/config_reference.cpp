// Text and Markdown over one walk of the table of settings.
#include "config/config_reference.hpp"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "config/foreign_names.hpp"
#include "config/nearest_name.hpp"
#include "config/refused_keys.hpp"
#include "config/setting.hpp"
#include "config/setting_value.hpp"

namespace ferula {
namespace {

constexpr std::string_view kIntroduction = R"(# Configuration

This page is generated: `ferula config keys --markdown > docs/configuration.md`. The same table drives the parser, so it
is complete.

A configuration is a TOML file. Values come from four layers, each over the one before: the defaults below, the file,
environment variables, `--set` on the command line.

- `FERULA_TRAINING__STEPS=5` in the environment sets `training.steps`: two underscores stand between section and key.
- `--set training.steps=5` does the same. Values are written as in TOML; a word without quotes is a string.
- A whole number may be written as a float: `5e8`. One string may stand for a list of one.
- `"auto"` takes the value that the rule below gives. `ferula config show` tells each value and where it comes from.

`ferula config check` reports every mistake at once with its place in the file. No key is ever ignored: what belongs to
a feature that does not exist yet, or has no meaning here, is refused with the reason.

The batch triangle is `train_batch_size` = `train_micro_batch_size_per_gpu` · `gradient_accumulation_steps` ·
data-parallel ranks. Two of them give the third; with one size alone the accumulation is 1.
)";

std::string default_text(const Setting& setting) {
  const std::string value = value_text(setting);
  return value == "\"\"" || value == "[]" ? "none" : value;
}

std::string full_help(const Setting& setting) {
  std::string help = setting.help;
  if (!setting.auto_rule.empty()) help += fmt::format(" auto: {}.", setting.auto_rule);
  if (!setting.types.empty()) help += fmt::format(" Only for {}.", fmt::join(setting.types, ", "));
  return help;
}

std::string markdown_section(const Section& section, const std::vector<Setting>& settings) {
  std::string text = fmt::format("\n## [{}]\n\n{}\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
                                 section.name, section.help);
  for (const Setting& setting : settings) {
    if (setting.key != section.name + "." + setting.name()) continue;
    text += fmt::format("| `{}` | {} | `{}` | {} |\n", setting.name(), expectation_text(setting), default_text(setting),
                        full_help(setting));
  }
  return text;
}

std::string markdown_refused() {
  std::string text =
      "\n## Refused keys\n\nThese are known from DeepSpeed or planned. A key stands for the whole table under it.\n\n"
      "| key | the key … |\n|---|---|\n";
  for (const RefusedKey& refused : refused_keys()) text += fmt::format("| `{}` | {} |\n", refused.key, refused.reason);
  return text;
}

std::string markdown_foreign() {
  std::string text =
      "\n## Names from elsewhere\n\nThese are known from Hugging Face's Trainer and models, from accelerate and from "
      "parts of DeepSpeed. They are\nrefused in every section.\n\n| name | the name … |\n|---|---|\n";
  for (const ForeignName& foreign : foreign_names())
    text += fmt::format("| `{}` | {} |\n", foreign.refused.key, foreign.refused.reason);
  return text;
}

}  // namespace

std::string config_keys_text(const std::string& filter) {
  Config defaults;
  std::string text;
  for (const Setting& setting : settings_of(defaults)) {
    if (setting.key.find(filter) == std::string::npos) continue;
    text += fmt::format("{}\n    {}\n    {}; default {}\n", setting.key, full_help(setting), expectation_text(setting),
                        default_text(setting));
  }
  for (const RefusedKey& refused : refused_keys()) {
    if (filter.empty() || refused.key.find(filter) == std::string::npos) continue;
    text += fmt::format("{}\n    {}\n", refused.key, refused.reason);
  }
  for (const ForeignName& foreign : foreign_names()) {
    if (filter.empty() || foreign.refused.key.find(filter) == std::string::npos) continue;
    text += fmt::format("{}\n    {}\n", foreign.refused.key, foreign.refused.reason);
  }
  return text;
}

std::optional<std::string> nearest_key(const std::string& word) {
  Config defaults;
  std::vector<std::string> names;
  for (const Section& section : config_sections()) names.emplace_back(section.name);
  for (const Setting& setting : settings_of(defaults)) names.insert(names.end(), {setting.key, setting.name()});
  return nearest_name(word, names);
}

std::string config_keys_markdown() {
  Config defaults;
  const std::vector<Setting> settings = settings_of(defaults);
  std::string text(kIntroduction);
  for (const Section& section : config_sections()) text += markdown_section(section, settings);
  return text + markdown_refused() + markdown_foreign();
}

}  // namespace ferula
