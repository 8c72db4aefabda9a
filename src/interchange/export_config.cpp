// The table of mappings read from right to left.
#include "interchange/export_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "config/setting.hpp"
#include "config/setting_value.hpp"
#include "config/zero_stage.hpp"
#include "interchange/key_mapping.hpp"

namespace ferula {
namespace {

/// A member of the file: a value as JSON, or an object.
struct Member {
  std::string name;
  std::string value;
  std::vector<Member> members;
};

/// Two blanks a level, as DeepSpeed's examples have it.
std::string indented(const Member& member, std::size_t depth = 0) {
  if (member.members.empty()) return member.value;
  std::string text;
  for (const Member& each : member.members)
    text += fmt::format("{}\n{:{}}\"{}\": {}", text.empty() ? "" : ",", "", 2 * depth + 2, each.name,
                        indented(each, depth + 1));
  return fmt::format("{{{}\n{:{}}}}", text, "", 2 * depth);
}

/// The member under a dotted key, with the objects above it.
Member& member_at(Member& root, const std::string& path) {
  const std::size_t dot = path.find('.');
  const std::string name = path.substr(0, dot);
  auto found = std::find_if(root.members.begin(), root.members.end(), [&](const Member& m) { return m.name == name; });
  if (found == root.members.end()) found = root.members.insert(found, {.name = name});
  return dot == std::string::npos ? *found : member_at(*found, path.substr(dot + 1));
}

class Export {
 public:
  Export(const Config& given, const Config& resolved)
      : config_(resolved),
        given_config_(given),
        settings_(settings_of(config_)),
        given_settings_(settings_of(given_config_)) {}

  ExportedConfig run() {
    for (const KeyMapping& mapping : key_mappings())
      if (mapping.dialect == Dialect::deepspeed && !mapping.is_alias) write(mapping);
    if (config_.optimizer.type == "SGD" && shares_optimizer(config_.zero_optimization))
      member_at(root_, "zero_allow_untested_optimizer").value = "true";
    list_what_is_left();
    exported_.json = indented(root_) + "\n";
    return std::move(exported_);
  }

 private:
  void write(const KeyMapping& mapping) {
    const auto at =
        std::find_if(settings_.begin(), settings_.end(), [&](const Setting& s) { return s.key == mapping.ours; });
    const Setting& given = given_settings_[static_cast<std::size_t>(at - settings_.begin())];
    if (!is_read(*at) || is_schedule_of_trainer(mapping.ours)) return;
    const bool is_group = mapping.conversion == Conversion::shard_group;
    if (is_group && !is_sharded_in_groups()) return;
    written_.insert(mapping.ours);
    const bool resolves_there =
        mapping.ours.starts_with("training.") || mapping.ours == "zero_optimization.overlap_comm";
    if (given.is_auto() && resolves_there) return;
    // TOML's numbers, words and lists are JSON as well.
    member_at(root_, mapping.theirs).value = is_group ? given_config_.zero_optimization.shard_size : value_text(*at);
  }

  /// DeepSpeed knows groups (MiCS) at stage 3 alone.
  bool is_sharded_in_groups() const {
    return given_config_.zero_optimization.shard_size != "all" && shares_parameters(config_.zero_optimization);
  }

  bool is_read(const Setting& setting) const {
    const std::string& type = setting.key.starts_with("optimizer.") ? config_.optimizer.type : config_.scheduler.type;
    return setting.types.empty() || std::count(setting.types.begin(), setting.types.end(), type) > 0;
  }

  /// DeepSpeed's schedules begin with Warmup; the others are given to Trainer.
  bool is_schedule_of_trainer(const std::string& key) const {
    return key.starts_with("scheduler.") && !config_.scheduler.type.starts_with("Warmup");
  }

  /// Only what differs from the default: a file may spell all of them out.
  void list_what_is_left() {
    Config defaults;
    const std::vector<Setting> default_settings = settings_of(defaults);
    for (std::size_t i = 0; i < given_settings_.size(); ++i) {
      const Setting& setting = given_settings_[i];
      const bool is_default = value_text(setting) == value_text(default_settings[i]);
      if (is_default || written_.contains(setting.key) || !is_read(setting)) continue;
      exported_.left_out.push_back({setting.key, is_schedule_of_trainer(setting.key)
                                                     ? "is a schedule that Hugging Face's Trainer has, not DeepSpeed"
                                                     : "has no key in DeepSpeed's file"});
    }
  }

  Config config_, given_config_;
  std::vector<Setting> settings_, given_settings_;
  std::set<std::string> written_;
  Member root_;
  ExportedConfig exported_;
};

}  // namespace

ExportedConfig export_deepspeed(const Config& given, const Config& resolved) { return Export(given, resolved).run(); }

}  // namespace ferula
