#include "app/config_interchange.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>

#include "app/common_options.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "config/config_template.hpp"
#include "config/load_config.hpp"
#include "interchange/export_config.hpp"
#include "interchange/import_config.hpp"
#include "storage/file_system.hpp"

namespace ferula {
namespace {

struct Heading {
  KeyFate fate;
  std::string_view text;
};

constexpr std::array kHeadings{
    Heading{KeyFate::mapped, "mapped"},
    Heading{KeyFate::implied, "not in the file, but meant by it"},
    Heading{KeyFate::left_open, "left open there, so at the default here"},
    Heading{KeyFate::off, "off there and here"},
    Heading{KeyFate::meaningless, "known, without a meaning here"},
    Heading{KeyFate::unsupported, "known, but NOT SUPPORTED: the run will differ"},
    Heading{KeyFate::unknown, "UNKNOWN, and not taken over"},
};

std::string_view name_of(Dialect dialect) {
  if (dialect == Dialect::deepspeed) return "a configuration of DeepSpeed";
  return dialect == Dialect::accelerate ? "a configuration of accelerate" : "the settings of a training script";
}

/// The keys of one fate below their heading; empty where there are none.
std::string listed(const ImportedConfig& imported, const Heading& heading) {
  std::size_t width = 0;
  for (const ImportedKey& key : imported.keys)
    if (key.fate == heading.fate) width = std::max(width, key.theirs.size());
  if (width == 0) return "";
  std::string text = fmt::format("\n{}:\n", heading.text);
  for (const ImportedKey& key : imported.keys) {
    if (key.fate != heading.fate) continue;
    text += key.fate == KeyFate::implied
                ? fmt::format("  {}\n", key.text)
                : fmt::format("  line {:<4} {:<{}}  {}\n", key.where.line, key.theirs, width, key.text);
  }
  return text;
}

/// The file's settings under the user's, over the preset.
std::string toml_of(const ImportedConfig& imported, const CommandLine& line, const ResolveFacts& facts) {
  std::vector<std::string> sets = imported.sets;
  const std::vector<std::string> own = line.all(kSet.name);
  sets.insert(sets.end(), own.begin(), own.end());
  const std::string preset = line.text(kPreset.name).value_or(config_presets().front().name);
  try {
    return new_config_toml(preset, sets, facts);
  } catch (const ConfigMistakes& found) {
    throw ConfigMistakes(at_imported_places(found.mistakes(), imported));
  }
}

}  // namespace

void write_new_file(const std::string& path, const std::string& text) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  if (files->exists(path))
    throw ConfigError(fmt::format("'{}' exists already; choose another name or remove it", path));
  write_file_atomically(*files, path, text, Replace::never);
}

ExitCode import_foreign(const CommandLine& line, std::optional<std::int64_t> ranks, const FactsFor& facts) {
  const std::string& from = line.positional(1, "a file, e.g. `ferula config import ds_config.json my.toml`");
  line.expect_at_most(3);
  const std::string to =
      line.positionals().size() == 3 ? line.positionals()[2] : std::filesystem::path(from).stem().string() + ".toml";
  const std::string text =
      read_config_text(from, "give a DeepSpeed JSON, accelerate's default_config.yaml, or YAML of a training script");
  const ImportedConfig imported = import_config(text, from);
  const std::int64_t for_ranks = ranks.value_or(imported.ranks);
  const Config defaults;
  const std::string toml = toml_of(imported, line, facts(defaults, for_ranks));
  write_new_file(to, toml);
  std::string report = fmt::format("read {} as {}\n", from, name_of(imported.dialect));
  for (const Heading& heading : kHeadings) report += listed(imported, heading);
  const std::string start = for_ranks > 1 ? fmt::format(" --ranks {}", for_ranks) : "";
  report += fmt::format(
      "\nwrote {}; set model and data there, which come from a preset where {} has none\nnext: ferula "
      "config check {}{}\n",
      to, from, shell_word(to), start);
  write_output(report);
  return ExitCode::done;
}

ExitCode export_foreign(const CommandLine& line, std::int64_t ranks, const FactsFor& facts) {
  const std::string& from = line.positional(1, "a configuration, e.g. `ferula config export my.toml ds_config.json`");
  line.expect_at_most(3);
  const std::string format = line.text(kFormat.name).value_or("deepspeed");
  if (format != "deepspeed") throw ConfigError(fmt::format("--format: expected deepspeed, found '{}'", format));
  ConfigDraft draft = draft_config(from, ferula_environment(), line.all(kSet.name));
  const Config given = draft.loaded.config;
  const ResolveFacts known = facts(given, ranks);
  const Config resolved = resolve_config(std::move(draft), known).config;
  const ExportedConfig exported = export_deepspeed(given, resolved);
  const bool to_file = line.positionals().size() == 3;
  if (to_file) {
    write_new_file(line.positionals()[2], exported.json);
    write_output(fmt::format("wrote {}\n", line.positionals()[2]));
  } else {
    write_output(exported.json);
  }
  std::string left;
  for (const LeftOutKey& key : exported.left_out) left += fmt::format("  {} {}\n", key.key, key.reason);
  if (!left.empty()) fmt::print(stderr, "left out:\n{}", left);
  return ExitCode::done;
}

}  // namespace ferula
