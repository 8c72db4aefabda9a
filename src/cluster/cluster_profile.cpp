#include "cluster/cluster_profile.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cluster/quantities.hpp"
#include "config/load_config.hpp"
#include "config/mistake_collector.hpp"
#include "config/nearest_name.hpp"
#include "config/setting.hpp"
#include "config/setting_value.hpp"
#include "config/toml_document.hpp"

namespace ferula {
namespace {

constexpr double kMostCount = 1e6;

Limits optional_text() {
  Limits limits;
  limits.may_be_empty = true;
  return limits;
}

Setting setting_of(std::string key, SettingTarget target, Limits limits = {}) {
  return {.key = std::move(key),
          .target = target,
          .limits = std::move(limits),
          .help = "",
          .unit = "",
          .auto_rule = "",
          .types = {}};
}

/// Reads the tables of a profile with the same values, limits and messages as a configuration.
class ProfileReader {
 public:
  explicit ProfileReader(ClusterProfile& profile) : profile_(profile) {}

  void read(const TomlNode& root) {
    std::vector<Setting> settings{
        setting_of("default_partition", &profile_.default_partition), setting_of("head_nodes", &profile_.head_nodes),
        setting_of("modules", &profile_.modules), setting_of("home", &profile_.home, optional_text()),
        setting_of("work", &profile_.work, optional_text())};
    apply(std::get<TomlNode::Table>(root.value), "", settings, {"partition", "qos"});
    for_each_table(root, "qos", [&](const std::string& name, const TomlNode& node) { read_qos(name, node); });
    for_each_table(root, "partition",
                   [&](const std::string& name, const TomlNode& node) { read_partition(name, node); });
    check(root.where);
    mistakes_.throw_if_any();
  }

 private:
  void mistake(std::string key, std::string message, std::string fix, SourceLocation where) {
    mistakes_.add(
        {.key = std::move(key), .message = std::move(message), .fix = std::move(fix), .where = std::move(where)});
  }

  void apply(const TomlNode::Table& table, const std::string& prefix, std::vector<Setting>& settings,
             const std::vector<std::string>& tables) {
    for (const auto& [name, entry] : table) {
      if (std::find(tables.begin(), tables.end(), name) != tables.end()) continue;
      const auto setting = std::find_if(settings.begin(), settings.end(),
                                        [&, key = prefix + name](const Setting& each) { return each.key == key; });
      if (setting == settings.end()) {
        std::vector<std::string> known = tables;
        for (const Setting& each : settings) known.push_back(each.name());
        const auto near = nearest_name(name, known);
        mistake(prefix + name, fmt::format("unknown key '{}{}' of a cluster profile", prefix, name),
                near ? fmt::format("did you mean '{}'?", *near) : fmt::format("there are: {}", fmt::join(known, ", ")),
                entry.key);
      } else if (const auto problem = assign(*setting, entry.node)) {
        mistake(prefix + name,
                fmt::format("{}{}: expected {}, found {}", prefix, name, problem->expected, problem->found),
                problem->fix, entry.node.where);
      }
    }
  }

  template <class Read>
  void for_each_table(const TomlNode& root, const std::string& kind, Read read_one) {
    const auto& entries = std::get<TomlNode::Table>(root.value);
    const auto found = entries.find(kind);
    const auto* tables = found == entries.end() ? nullptr : std::get_if<TomlNode::Table>(&found->second.node.value);
    if (found != entries.end() && tables == nullptr)
      mistake(kind, fmt::format("'{}' is a section", kind), fmt::format("write [{}.NAME]", kind), found->second.key);
    if (tables == nullptr) return;
    for (const auto& [name, entry] : *tables) {
      if (std::holds_alternative<TomlNode::Table>(entry.node.value))
        read_one(name, entry.node);
      else
        mistake(kind + "." + name, fmt::format("expected a section, found {}", entry.node.in_words()),
                fmt::format("write [{}.{}]", kind, name), entry.key);
    }
  }

  void read_qos(const std::string& name, const TomlNode& node) {
    ClusterQos qos{.name = name};
    Auto<std::int64_t> cpus, gpus, jobs;
    const std::string prefix = fmt::format("qos.{}.", name);
    std::vector<Setting> settings{setting_of(prefix + "time", &qos.time, optional_text()),
                                  setting_of(prefix + "mem", &qos.mem, optional_text()),
                                  setting_of(prefix + "cpus", &cpus, between(1, kMostCount)),
                                  setting_of(prefix + "gpus", &gpus, between(0, kMostCount)),
                                  setting_of(prefix + "jobs", &jobs, between(1, kMostCount)),
                                  setting_of(prefix + "preemptible", &qos.preemptible)};
    apply(std::get<TomlNode::Table>(node.value), prefix, settings, {});
    qos.cpus = cpus.value;
    qos.gpus = gpus.value;
    qos.jobs = jobs.value;
    if (!qos.time.empty())
      qos.time_s = parsed(prefix + "time", seconds_of_slurm_time(qos.time), qos.time, "1-00:00:00", node);
    if (!qos.mem.empty())
      qos.memory_mib = parsed(prefix + "mem", mebibytes_of_slurm_memory(qos.mem), qos.mem, "384G", node);
    if (qos.time_s == kNoTimeLimit) qos.time_s.reset();
    profile_.qos.push_back(std::move(qos));
  }

  void read_partition(const std::string& name, const TomlNode& node) {
    ClusterPartition partition{.name = name};
    const std::string prefix = fmt::format("partition.{}.", name);
    std::vector<Setting> settings{setting_of(prefix + "nodes", &partition.nodes, between(1, kMostCount)),
                                  setting_of(prefix + "gpus_per_node", &partition.gpus_per_node, between(0, 4096)),
                                  setting_of(prefix + "cpus_per_node", &partition.cpus_per_node, between(1, 4096)),
                                  setting_of(prefix + "mem_per_node", &partition.mem_per_node),
                                  setting_of(prefix + "card", &partition.card, optional_text()),
                                  setting_of(prefix + "qos", &partition.qos)};
    apply(std::get<TomlNode::Table>(node.value), prefix, settings, {});
    partition.memory_mib = parsed(prefix + "mem_per_node", mebibytes_of_slurm_memory(partition.mem_per_node),
                                  partition.mem_per_node, "512G", node)
                               .value_or(1);
    for (const std::string& qos : partition.qos)
      if (profile_.find_qos(qos) == nullptr)
        mistake(prefix + "qos", fmt::format("{}qos: '{}' is not described", prefix, qos),
                fmt::format("write a section [qos.{}]", qos), node.where);
    profile_.partitions.push_back(std::move(partition));
  }

  std::optional<std::int64_t> parsed(const std::string& key, std::optional<std::int64_t> value, const std::string& text,
                                     std::string_view example, const TomlNode& node) {
    if (!value)
      mistake(key, fmt::format("{}: expected a quantity as SLURM writes it, found '{}'", key, text),
              fmt::format("write for example \"{}\"", example), node.where);
    return value;
  }

  void check(const SourceLocation& where) {
    if (profile_.partition(profile_.default_partition) == nullptr)
      mistake(
          "default_partition",
          fmt::format("default_partition: expected a partition of this file, found '{}'", profile_.default_partition),
          "name one of the [partition.NAME] sections", where);
  }

  ClusterProfile& profile_;
  MistakeCollector mistakes_;
};

template <class Items>
auto find_named(const Items& items, std::string_view name) {
  const auto found = std::find_if(items.begin(), items.end(), [&](const auto& each) { return each.name == name; });
  return found == items.end() ? nullptr : &*found;
}

/// In alphabetical order within a folder.
std::vector<std::filesystem::path> profile_files(const std::vector<std::string>& folders) {
  std::vector<std::filesystem::path> files;
  for (const std::string& folder : folders) {
    const std::ptrdiff_t before = std::ssize(files);
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator(folder, missing))
      if (entry.path().extension() == ".toml") files.push_back(entry.path());
    std::sort(files.begin() + before, files.end());
  }
  return files;
}

constexpr std::string_view kProfileAdvice =
    "slurm.profile or FERULA_SLURM__PROFILE names it: the path of a cluster's profile, or a word for one that comes "
    "with the program (prometheus)";

}  // namespace

const ClusterPartition* ClusterProfile::partition(std::string_view wanted) const {
  return find_named(partitions, wanted);
}

const ClusterQos* ClusterProfile::find_qos(std::string_view wanted) const { return find_named(qos, wanted); }

ClusterProfile parse_profile(const std::string& text, const std::string& origin) {
  ClusterProfile profile{.name = std::filesystem::path(origin).stem().string(), .origin = origin};
  ProfileReader(profile).read(parse_toml(text, origin));
  return profile;
}

ClusterProfile load_profile(const std::string& wanted, const std::vector<std::string>& folders) {
  if (wanted.find('/') != std::string::npos || wanted.ends_with(".toml"))
    return parse_profile(read_config_text(wanted, kProfileAdvice), wanted);
  std::vector<std::string> names;
  for (const std::filesystem::path& file : profile_files(folders)) {
    if (file.stem() == wanted) return parse_profile(read_config_text(file.string()), file);
    names.push_back(file.stem().string());
  }
  throw ConfigError(fmt::format(
      "slurm.profile: expected a cluster profile, found '{}'; there are: {} (in {}); the path of a file of "
      "your own has a / in it",
      wanted, names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")), fmt::join(folders, ", ")));
}

std::vector<ClusterProfile> all_profiles(const std::vector<std::string>& folders) {
  std::vector<ClusterProfile> profiles;
  for (const std::filesystem::path& file : profile_files(folders)) {
    try {
      profiles.push_back(parse_profile(read_config_text(file.string()), file));
    } catch (const ConfigError&) {  // said where it is asked for
    }
  }
  return profiles;
}

bool is_head_node(const ClusterProfile& profile, const std::string& host) {
  return std::any_of(profile.head_nodes.begin(), profile.head_nodes.end(),
                     [&](const std::string& pattern) { return fnmatch(pattern.c_str(), host.c_str(), 0) == 0; });
}

}  // namespace ferula
