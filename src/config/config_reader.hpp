// Fills a configuration from TOML trees, one layer over the other, and collects the mistakes.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/load_config.hpp"
#include "config/mistake_collector.hpp"
#include "config/refused_keys.hpp"
#include "config/setting.hpp"
#include "config/toml_document.hpp"

namespace ferula {

/// "key=value" outside of a file.
struct Assignment {
  std::string key;
  std::string value;
  SourceLocation key_place;
  SourceLocation value_place;
};

/// Applies layers in the order of precedence to one LoadedConfig. Views it and the collector.
class ConfigReader {
 public:
  ConfigReader(LoadedConfig& loaded, MistakeCollector& mistakes);

  /// All entries of a file's tree.
  void apply_document(const TomlNode& root);
  /// One assignment of the environment or of `--set`: the dotted key, the text of the value, and their places.
  /// The guard has let both pass.
  void apply_assignment(const Assignment& assignment, SourceKind kind);

 private:
  void apply_table(const TomlNode::Table& table, const std::string& prefix, SourceKind kind);
  void apply_entry(const std::string& path, const TomlEntry& entry, SourceKind kind);
  void apply_value(Setting& setting, const TomlNode& node, SourceKind kind);
  void report_refused(const std::string& path, const RefusedKey& refused, const SourceLocation& where);
  bool report_foreign(const std::string& path, const SourceLocation& where);
  void report_unknown(const std::string& path, const TomlEntry& entry);
  void doubt(const std::string& path);
  void suspect(const std::string& path, const TomlNode& node);
  Setting* find(const std::string& path);
  std::vector<std::string> names_under(const std::string& prefix) const;

  LoadedConfig& loaded_;
  std::vector<Setting> settings_;
  std::set<std::string> tables_;  // every section, with the sections above it
  MistakeCollector& mistakes_;
};

}  // namespace ferula
