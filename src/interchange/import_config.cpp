// One walk over the tree; each leaf is looked up in the table of mappings, then among the refused keys.
#include "interchange/import_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "config/foreign_names.hpp"
#include "config/nearest_name.hpp"
#include "config/refused_keys.hpp"
#include "config/setting.hpp"
#include "config/setting_value.hpp"
#include "config/zero_stage.hpp"
#include "interchange/foreign_document.hpp"

namespace ferula {
namespace {

using Table = TomlNode::Table;

Dialect dialect_of(const Table& root) {
  for (const char* key : {"compute_environment", "distributed_type", "deepspeed_config", "fsdp_config"})
    if (root.contains(key)) return Dialect::accelerate;
  for (const char* key : {"zero_optimization", "train_batch_size", "train_micro_batch_size_per_gpu", "optimizer",
                          "scheduler", "fp16", "bf16", "steps_per_print"}) {
    const auto found = root.find(key);
    if (found == root.end()) continue;
    const bool is_table = std::holds_alternative<Table>(found->second.node.value);
    const std::string_view name = key;
    if (is_table || name.starts_with("train_") || name == "steps_per_print") return Dialect::deepspeed;
  }
  return Dialect::other;
}

bool before(const SourceLocation& a, const SourceLocation& b) {
  return std::tie(a.line, a.column) < std::tie(b.line, b.column);
}

bool is_null(const TomlNode& node) { return std::holds_alternative<std::monostate>(node.value); }

/// A value that switches its key off: false, nothing, no device.
bool is_off(const TomlNode& node) {
  if (const auto* truth = std::get_if<bool>(&node.value)) return !*truth;
  if (const auto* word = std::get_if<std::string>(&node.value))
    return *word == "none" || *word == "no" || word->empty();
  if (const auto* table = std::get_if<Table>(&node.value)) {
    if (table->empty()) return true;
    for (const char* name : {"enabled", "device"})
      if (const auto found = table->find(name); found != table->end()) return is_off(found->second.node);
    return false;
  }
  return is_null(node);
}

bool is_auto(const TomlNode& node) {
  if (const auto* word = std::get_if<std::string>(&node.value)) return *word == "auto";
  const auto* table = std::get_if<Table>(&node.value);
  const auto enabled = table == nullptr ? Table::const_iterator() : table->find("enabled");
  return table != nullptr && enabled != table->end() && is_auto(enabled->second.node);
}

bool value_is_one(const TomlNode& node) {
  const auto* whole = std::get_if<std::int64_t>(&node.value);
  const auto* number = std::get_if<double>(&node.value);
  return (whole != nullptr && *whole == 1) || (number != nullptr && *number == 1.0);
}

/// A choice of a type in which sums run here anyway; all of the optimizer's state as the part that is offloaded.
bool is_what_we_do(const std::string& path, const TomlNode& node) {
  if (const auto* table = std::get_if<Table>(&node.value))
    return table->size() == 1 && is_what_we_do(path + "." + table->begin()->first, table->begin()->second.node);
  if (path == "zero_optimization.offload_optimizer.ratio") return value_is_one(node);
  const auto* word = std::get_if<std::string>(&node.value);
  return word != nullptr && *word == "fp32" &&
         (path == "data_types.grad_accum_dtype" || path == "communication_data_type");
}

/// Types decide which parameters exist.
std::string type_key_of(const std::string& ours) {
  if (ours.starts_with("optimizer.params.")) return "optimizer.type";
  return ours.starts_with("scheduler.params.") ? "scheduler.type" : "";
}

bool is_batch(const std::string& ours) {
  return ours == "training.train_batch_size" || ours == "training.train_micro_batch_size_per_gpu" ||
         ours == "training.gradient_accumulation_steps";
}

class Import {
 public:
  explicit Import(Dialect dialect) : settings_(settings_of(config_)) { imported_.dialect = dialect; }

  void walk(const Table& table, const std::string& prefix) {
    std::vector<Table::const_pointer> entries;  // in the order of the file: of two names of a setting the first counts
    for (const auto& entry : table) entries.push_back(&entry);
    std::stable_sort(entries.begin(), entries.end(),
                     [](auto* a, auto* b) { return before(a->second.key, b->second.key); });
    for (const auto* entry : entries) visit(prefix.empty() ? entry->first : prefix + "." + entry->first, entry->second);
  }

  ImportedConfig finish() {
    throw_if_any(std::move(mistakes_));
    take_what_is_silent();
    drop_parameters_of_other_types();
    drop_groups_below_stage_3();
    follow_the_schedule();
    hold_the_samples();
    for (const auto& [ours, value] : values_) imported_.sets.push_back(fmt::format("{}={}", ours, value));
    imported_.ranks = ranks();
    std::stable_sort(imported_.keys.begin(), imported_.keys.end(),
                     [](const ImportedKey& a, const ImportedKey& b) { return before(a.where, b.where); });
    return std::move(imported_);
  }

 private:
  void visit(const std::string& path, const TomlEntry& entry) {
    const TomlNode& node = entry.node;
    const bool is_table = std::holds_alternative<Table>(node.value);
    const std::optional<KeyMapping> mapping = is_table ? std::nullopt : find_mapping(path);
    if (mapping) return take(*mapping, path, entry);
    if (path.ends_with("deepspeed_config_file") && !is_off(node))
      return note(KeyFate::unsupported, path, "names another file; import that one, too, with `ferula config import`",
                  entry);
    const RefusedKey* refused = refused_at(path);
    const bool descends = is_table && (refused == nullptr || has_mappings_under(path));
    if (descends) return walk(std::get<Table>(node.value), path);
    if (refused == nullptr) return unknown(path, entry);
    if (refused->refusal == Refusal::later && (is_off(node) || is_what_we_do(path, node)))
      return note(KeyFate::off, path, "changes nothing: here it is the same", entry);
    if (refused->refusal == Refusal::later && is_auto(node))
      return note(KeyFate::left_open, path, "is \"auto\", which Hugging Face's Trainer would fill in; here it is off",
                  entry);
    note(refused->refusal == Refusal::later ? KeyFate::unsupported : KeyFate::meaningless, path, refused->reason,
         entry);
  }

  /// The refused key of this path, or of this name in whatever section.
  static const RefusedKey* refused_at(const std::string& path) {
    if (const RefusedKey* refused = find_refused_key(path)) return refused;
    const std::string name = path.substr(path.rfind('.') + 1);
    if (const ForeignName* foreign = find_foreign_name(name)) return &foreign->refused;
    return find_misplaced_key(name);
  }

  static bool has_mappings_under(const std::string& path) {
    return std::any_of(key_mappings().begin(), key_mappings().end(), [&](const KeyMapping& each) {
      return each.dialect != Dialect::other && each.theirs.starts_with(path + ".");
    });
  }

  void note(KeyFate fate, const std::string& path, std::string text, const TomlEntry& entry) {
    imported_.keys.push_back({.fate = fate, .theirs = path, .text = std::move(text), .where = entry.key});
  }

  void unknown(const std::string& path, const TomlEntry& entry) {
    std::vector<std::string> names;
    for (const KeyMapping& mapping : key_mappings()) names.push_back(mapping.theirs);
    for (const RefusedKey& refused : refused_keys()) names.push_back(refused.key);
    const auto near = nearest_name(path, names);
    note(KeyFate::unknown, path, near ? fmt::format("is unknown; did you mean '{}'?", *near) : "is unknown", entry);
  }

  Setting& setting(const std::string& ours) {
    return *std::find_if(settings_.begin(), settings_.end(), [&](const Setting& each) { return each.key == ours; });
  }

  void take(const KeyMapping& mapping, const std::string& path, const TomlEntry& entry) {
    if (is_null(entry.node)) return note(KeyFate::off, path, "changes nothing: it has no value", entry);
    if (leaves_open(mapping, entry.node))
      return note(KeyFate::left_open, path,
                  fmt::format("is \"auto\", which Hugging Face's Trainer would fill in; {} says it here", mapping.ours),
                  entry);
    const Converted converted = convert(mapping, entry.node);
    if (!converted.value) return refuse(mapping, path, converted.refused, entry);
    const bool is_half = mapping.conversion == Conversion::first_beta || mapping.conversion == Conversion::second_beta;
    if (values_.contains(mapping.ours) && !is_half) return take_again(mapping, path, *converted.value, entry);
    store(mapping, path, is_half ? completed(mapping, *converted.value) : *converted.value, entry);
  }

  void store(const KeyMapping& mapping, const std::string& path, const TomlNode& value, const TomlEntry& entry) {
    Setting& target = setting(mapping.ours);
    if (const auto problem = assign(target, value)) {
      mistakes_.push_back(
          {.key = path,
           .message = fmt::format("'{}': expected {}, found {}", path, problem->expected, problem->found),
           .fix = problem->fix,
           .where = entry.node.where});
      return;
    }
    values_[mapping.ours] = value_text(target);
    imported_.places[mapping.ours] = entry.node.where;
    note(KeyFate::mapped, path, fmt::format("{} = {}", mapping.ours, values_[mapping.ours]), entry);
  }

  /// Several names of one setting: the first counts.
  void take_again(const KeyMapping& mapping, const std::string& path, const TomlNode& value, const TomlEntry& entry) {
    Config other;
    std::vector<Setting> settings = settings_of(other);
    const auto again =
        std::find_if(settings.begin(), settings.end(), [&](const Setting& s) { return s.key == mapping.ours; });
    const bool same = !assign(*again, value) && value_text(*again) == values_[mapping.ours];
    note(same ? KeyFate::mapped : KeyFate::unsupported, path,
         fmt::format("{}{} = {}, from {}", same ? "" : "is not taken: there is already ", mapping.ours,
                     values_[mapping.ours], imported_.places[mapping.ours].label()),
         entry);
  }

  TomlNode completed(const KeyMapping& mapping, const TomlNode& value) {
    TomlNode pair = value;
    TomlNode::List list;
    for (const double beta : config_.optimizer.params.betas) {
      list.push_back(value);
      list.back().value = beta;
    }
    list.at(mapping.conversion == Conversion::first_beta ? 0 : 1) = value;
    pair.value = std::move(list);
    return pair;
  }

  bool leaves_open(const KeyMapping& mapping, const TomlNode& node) {
    return is_auto(node) && (is_batch(mapping.ours) || setting(mapping.ours).auto_rule.empty());
  }

  void refuse(const KeyMapping& mapping, const std::string& path, const std::string& why, const TomlEntry& entry) {
    refused_types_.push_back(mapping.ours);
    note(KeyFate::unsupported, path, why, entry);
  }

  void imply(const std::string& ours, const std::string& value, std::string why) {
    values_[ours] = value;
    imported_.keys.push_back({KeyFate::implied, ours, fmt::format("{} = {}: {}", ours, value, why), {.line = 1 << 30}});
  }

  /// Defaults there that differ from what a new configuration has here.
  void take_what_is_silent() {
    for (const KeyMapping& mapping : key_mappings()) {
      if (mapping.dialect != imported_.dialect || mapping.absent.empty() || values_.contains(mapping.ours)) continue;
      const std::string type = type_key_of(mapping.ours);
      if (!type.empty() && !values_.contains(type)) continue;
      if (mapping.ours == "optimizer.params.betas" && values_[type] == "\"Lion\"") continue;
      if (type.empty() || has_parameter(mapping.ours, type)) imply(mapping.ours, mapping.absent, "its default there");
    }
  }

  bool has_parameter(const std::string& ours, const std::string& type) {
    const std::vector<std::string>& types = setting(ours).types;
    return types.empty() || std::any_of(types.begin(), types.end(),
                                        [&](const std::string& t) { return values_[type] == '"' + t + '"'; });
  }

  void drop_parameters_of_other_types() {
    for (ImportedKey& key : imported_.keys) {
      const auto mapping = key.fate == KeyFate::mapped ? find_mapping(key.theirs) : std::nullopt;
      const std::string type = mapping ? type_key_of(mapping->ours) : "";
      if (type.empty()) continue;
      const bool without_type = std::count(refused_types_.begin(), refused_types_.end(), type) > 0;
      if (!without_type && (!values_.contains(type) || has_parameter(mapping->ours, type))) continue;
      values_.erase(mapping->ours);
      key.fate = without_type ? KeyFate::unsupported : KeyFate::meaningless;
      key.text = without_type ? fmt::format("belongs to {}, which is not supported", type)
                              : fmt::format("has no meaning here because {} has no such parameter", values_[type]);
    }
  }

  /// DeepSpeed reads the groups of MiCS at stage 3 alone.
  void drop_groups_below_stage_3() {
    if (imported_.dialect != Dialect::deepspeed || shares_parameters(config_.zero_optimization)) return;
    for (ImportedKey& key : imported_.keys) {
      if (key.fate != KeyFate::mapped || key.theirs != "zero_optimization.mics_shard_size") continue;
      values_.erase("zero_optimization.shard_size");
      key.fate = KeyFate::meaningless;
      key.text = "has no meaning there below stage 3";
    }
  }

  /// A schedule has a length, and the run is as long.
  void follow_the_schedule() {
    const auto length = values_.find("scheduler.params.total_num_steps");
    if (length == values_.end() || length->second == "\"auto\"") return;
    if (!values_.contains("training.steps") && !values_.contains("training.epochs"))
      imply("training.steps", length->second, "as long as the schedule");
  }

  /// A script's model comes from elsewhere and reads its samples; the preset's is shorter, perhaps.
  void hold_the_samples() {
    const std::int64_t length = config_.data.sequence_length;
    if (!values_.contains("data.sequence_length") || length <= Config{}.model.context) return;
    if (!values_.contains("model.context") && !values_.contains("model.path"))
      imply("model.context", std::to_string(length), "as long as the samples");
  }

  std::int64_t ranks() const {
    const auto& [train, micro, accumulation] =
        std::tie(config_.training.train_batch_size, config_.training.train_micro_batch_size_per_gpu,
                 config_.training.gradient_accumulation_steps);
    if (train.is_auto() || micro.is_auto() || accumulation.is_auto()) return 1;
    const std::int64_t of_a_rank = micro.get() * accumulation.get();
    return train.get() % of_a_rank == 0 ? train.get() / of_a_rank : 1;
  }

  Config config_;
  std::vector<Setting> settings_;
  std::map<std::string, std::string> values_;  // TOML by setting
  std::vector<std::string> refused_types_;
  std::vector<ConfigMistake> mistakes_;
  ImportedConfig imported_;
};

}  // namespace

ImportedConfig import_config(const std::string& text, const std::string& origin) {
  const TomlNode root = parse_foreign(text, origin);
  const Table& table = std::get<Table>(root.value);
  Import import(dialect_of(table));
  import.walk(table, "");
  return import.finish();
}

std::vector<ConfigMistake> at_imported_places(std::vector<ConfigMistake> mistakes, const ImportedConfig& imported) {
  const auto move_to_file = [&](const std::string& key, SourceLocation& where) {
    const auto place = imported.places.find(key);
    if (where.origin == "--set" && place != imported.places.end()) where = place->second;
  };
  const auto is_of_preset = [](const ConfigMistake& mistake) { return mistake.where.origin.starts_with("preset "); };
  for (ConfigMistake& mistake : mistakes) {
    move_to_file(mistake.key, mistake.where);
    for (RelatedKey& related : mistake.related) move_to_file(related.key, related.where);
  }
  // A preset gives way as soon as the file has no mistake of its own.
  if (!std::all_of(mistakes.begin(), mistakes.end(), is_of_preset)) std::erase_if(mistakes, is_of_preset);
  return mistakes;
}

}  // namespace ferula
