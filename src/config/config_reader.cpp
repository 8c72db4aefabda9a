// The walk over a tree: each key is a setting, a section, refused, or unknown.
#include "config/config_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "config/foreign_names.hpp"
#include "config/nearest_name.hpp"
#include "config/setting_value.hpp"

namespace ferula {
namespace {

std::string parent_of(const std::string& path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

std::string under(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

}  // namespace

ConfigReader::ConfigReader(LoadedConfig& loaded, MistakeCollector& mistakes)
    : loaded_(loaded), settings_(settings_of(loaded.config)), mistakes_(mistakes) {
  for (const Setting& setting : settings_) loaded_.sources.try_emplace(setting.key);
  for (const Section& section : config_sections()) {
    for (std::string name = section.name; !name.empty(); name = parent_of(name)) tables_.insert(name);
  }
}

void ConfigReader::apply_document(const TomlNode& root) {
  apply_table(std::get<TomlNode::Table>(root.value), "", SourceKind::file);
}

void ConfigReader::apply_assignment(const Assignment& assignment, SourceKind kind) {
  if (is_broken_toml_value(assignment.value)) {
    doubt(assignment.key);
    return mistakes_.add(
        {.key = assignment.key,
         .message = fmt::format("{}: expected a TOML value, found '{}', which begins as one and is none",
                                assignment.key, assignment.value),
         .fix = "close its brackets and quotes, and put the whole in single quotes for the shell",
         .where = assignment.value_place});
  }
  TomlEntry entry{.node = parse_toml_value(assignment.value, assignment.value_place), .key = assignment.key_place};
  const Setting* setting = find(assignment.key);
  if (setting != nullptr && takes_text(*setting) && !std::holds_alternative<std::string>(entry.node.value)) {
    entry.node.value = assignment.value;
  }
  apply_entry(assignment.key, entry, kind);
}

void ConfigReader::apply_table(const TomlNode::Table& table, const std::string& prefix, SourceKind kind) {
  for (const auto& [name, entry] : table) apply_entry(under(prefix, name), entry, kind);
}

void ConfigReader::apply_entry(const std::string& path, const TomlEntry& entry, SourceKind kind) {
  if (const RefusedKey* refused = find_refused_key(path)) return report_refused(path, *refused, entry.key);
  if (Setting* setting = find(path)) return apply_value(*setting, entry.node, kind);
  if (!tables_.contains(path)) {
    if (!report_foreign(path, entry.key)) report_unknown(path, entry);
    return;
  }
  if (const auto* table = std::get_if<TomlNode::Table>(&entry.node.value)) return apply_table(*table, path, kind);
  doubt(path);
  mistakes_.add({.key = path,
                 .message = fmt::format("'{}' is a section: expected a table, found {}", path, entry.node.in_words()),
                 .fix = fmt::format("write [{}] on a line of its own, and its keys below", path),
                 .where = entry.node.where});
}

void ConfigReader::apply_value(Setting& setting, const TomlNode& node, SourceKind kind) {
  if (const auto problem = assign(setting, node)) {
    doubt(setting.key);
    mistakes_.add({.key = setting.key,
                   .message = fmt::format("{}: expected {}, found {}", setting.key, problem->expected, problem->found),
                   .fix = problem->fix,
                   .where = node.where});
    return;
  }
  loaded_.sources[setting.key] = {.kind = kind, .where = node.where, .reason = ""};
}

void ConfigReader::report_refused(const std::string& path, const RefusedKey& refused, const SourceLocation& where) {
  mistakes_.add(
      {.key = path, .message = fmt::format("'{}' {}", path, refused.reason), .fix = refused.fix, .where = where});
}

/// Reports a name of another program, or a key of DeepSpeed's in a section that is not its own.
bool ConfigReader::report_foreign(const std::string& path, const SourceLocation& where) {
  const std::string name = last_part(path);
  if (const ForeignName* foreign = find_foreign_name(name)) {
    for (const std::string& ours : foreign->ours) mistakes_.suspect(ours);
    report_refused(path, foreign->refused, where);
    return true;
  }
  const RefusedKey* misplaced = find_misplaced_key(name);
  if (misplaced != nullptr) report_refused(path, *misplaced, where);
  return misplaced != nullptr;
}

void ConfigReader::report_unknown(const std::string& path, const TomlEntry& entry) {
  const std::string prefix = parent_of(path);
  std::vector<std::string> names = names_under(prefix);
  ConfigMistake mistake{.key = path, .message = fmt::format("unknown key '{}'", path), .fix = "", .where = entry.key};
  for (const Setting& setting : settings_) {
    if (setting.name() != last_part(path)) continue;
    mistakes_.suspect(setting.key);
    mistake.fix += mistake.fix.empty() ? fmt::format("'{}' stands under [{}]", setting.name(), parent_of(setting.key))
                                       : fmt::format(" and under [{}]", parent_of(setting.key));
  }
  const auto nearest = nearest_name(last_part(path), names);
  if (mistake.fix.empty() && nearest) {
    suspect(under(prefix, *nearest), entry.node);
    mistake.fix = fmt::format("did you mean '{}'?", under(prefix, *nearest));
  }
  if (mistake.fix.empty()) {
    if (names.empty()) names = names_under("");  // the section itself is unknown
    mistake.fix = fmt::format("{} has the keys {}; see `ferula config keys`",
                              prefix.empty() || !tables_.contains(prefix) ? "the file" : "[" + prefix + "]",
                              fmt::join(names, ", "));
  }
  mistakes_.add(std::move(mistake));
}

/// Doubts the key and, where it is a section, everything in it.
void ConfigReader::doubt(const std::string& path) {
  mistakes_.doubt(path);
  for (const Setting& setting : settings_)
    if (setting.key.starts_with(path + ".")) mistakes_.doubt(setting.key);
}

/// An unknown name may have meant this key or, where it is a section, the keys in it.
void ConfigReader::suspect(const std::string& path, const TomlNode& node) {
  mistakes_.suspect(path);
  if (const auto* table = std::get_if<TomlNode::Table>(&node.value))
    for (const auto& [name, entry] : *table) suspect(under(path, name), entry.node);
}

Setting* ConfigReader::find(const std::string& path) {
  const auto found = std::find_if(settings_.begin(), settings_.end(), [&](const Setting& s) { return s.key == path; });
  return found == settings_.end() ? nullptr : &*found;
}

std::vector<std::string> ConfigReader::names_under(const std::string& prefix) const {
  std::vector<std::string> names;
  for (const std::string& table : tables_)
    if (parent_of(table) == prefix) names.push_back(last_part(table));
  for (const Setting& setting : settings_)
    if (parent_of(setting.key) == prefix) names.push_back(setting.name());
  return names;
}

}  // namespace ferula
