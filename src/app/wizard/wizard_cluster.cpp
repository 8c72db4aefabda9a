#include "app/wizard/wizard_cluster.hpp"

#include <algorithm>

#include "app/jobs/job_plan.hpp"
#include "cluster/run_program.hpp"
#include "comm/simulated_transport.hpp"
#include "config/config_text.hpp"
#include "config/setting_value.hpp"

namespace ferula {
namespace {

constexpr int kNotFound = 127;

Partition described(const KnownCluster& cluster, const ClusterPartition& partition, bool is_elsewhere) {
  const ClusterQos* qos = partition.qos.empty() ? nullptr : cluster.profile.find_qos(partition.qos.front());
  return {.name = partition.name,
          .is_default = partition.name == cluster.profile.default_partition,
          .nodes = static_cast<int>(partition.nodes),
          .gpus_a_node = static_cast<int>(partition.gpus_per_node),
          .card = partition.card,
          .time_limit = qos == nullptr ? "" : qos->time,
          .cluster = cluster.word,
          .is_elsewhere = is_elsewhere};
}

void add_all(WizardFacts& facts, KnownCluster cluster, bool is_elsewhere) {
  for (const ClusterPartition& each : cluster.profile.partitions)
    facts.partitions.push_back(described(cluster, each, is_elsewhere));
  facts.clusters.push_back(std::move(cluster));
}

/// Those of sinfo, with what the profile knows of them: `submit` holds the job against the profile.
void add_known(WizardFacts& facts, KnownCluster cluster, const std::vector<Partition>& found) {
  std::vector<std::string> strange;
  for (const Partition& each : found) {
    const ClusterPartition* known = cluster.profile.partition(each.name);
    if (known == nullptr) {
      strange.push_back(each.name);
      continue;
    }
    Partition both = described(cluster, *known, false);
    both.is_default = each.is_default;
    both.nodes = each.nodes;
    both.time_limit = each.time_limit;
    facts.partitions.push_back(std::move(both));
  }
  if (!strange.empty())
    facts.notes.push_back(fmt::format("not offered: SLURM's partitions {}, which the profile {} does not describe",
                                      fmt::join(strange, ", "), cluster.profile.origin));
  if (facts.partitions.empty()) return add_all(facts, std::move(cluster), false);
  facts.clusters.push_back(std::move(cluster));
}

bool is_recognised(const ClusterProfile& profile, const ClusterSigns& signs) {
  const bool knows_all = std::all_of(signs.partitions.begin(), signs.partitions.end(),
                                     [&](const Partition& each) { return profile.partition(each.name) != nullptr; });
  const bool has_all = signs.partitions.size() == profile.partitions.size();
  return signs.has_slurm && knows_all && (has_all || is_head_node(profile, signs.host));
}

std::optional<KnownCluster> own_cluster(const ClusterSigns& signs) {
  if (signs.named) return signs.named;
  for (const KnownCluster& each : signs.shipped)
    if (is_recognised(each.profile, signs)) return each;
  return std::nullopt;
}

/// The profile that counts for `submit`: the environment's before the file's.
std::optional<KnownCluster> named_cluster(WizardFacts& facts) {
  SlurmConfig slurm = facts.earlier_config ? facts.earlier_config->slurm : SlurmConfig{};
  if (const std::string word = profile_in_environment(); !word.empty()) slurm.profile = word;
  try {
    if (std::optional<ClusterProfile> profile = profile_of(slurm)) return KnownCluster{slurm.profile, *profile};
  } catch (const ConfigError& error) {
    facts.notes.push_back(fmt::format("not used: {}", error.what()));
  }
  return std::nullopt;
}

/// Whether SLURM would grant the job, with this instead of the [slurm] so far.
bool is_granted(const WizardView& view, const SlurmConfig& slurm) {
  Config config = view.config();
  config.slurm = slurm;
  ConfigDraft draft = draft_config_text(to_toml(config), view.facts().path, {}, {});
  check_job(draft, job_request(config, view.profile()), view.profile());
  return !draft.mistakes.any_under("slurm");
}

SlurmConfig slurm_of(const WizardView& view) {
  SlurmConfig slurm = view.config().slurm;
  if (const Partition* chosen = view.partition()) {
    slurm.profile = chosen->cluster;
    slurm.partition = chosen->name;
    slurm.qos = view.answer("qos");
  } else if (!slurm.profile.empty()) {  // the cluster is another one
    slurm.profile = slurm.partition = slurm.qos = "";
  }
  const std::int64_t each = view.ranks() / view.machines();
  slurm.nodes = view.machines();
  slurm.gpus_per_node.value = view.on_gpus() ? each : 0;
  slurm.ntasks_per_node.value = view.on_gpus() ? std::nullopt : std::optional(each);
  SlurmConfig open = slurm;
  open.cpus_per_task.value = std::nullopt;
  open.mem = open.time = "";
  return open == slurm || is_granted(view, slurm) ? slurm : open;
}

std::string in_words(const Auto<std::int64_t>& value) {
  return value.is_auto() ? "\"auto\"" : std::to_string(value.get());
}

}  // namespace

void add_cluster(WizardFacts& facts, ClusterSigns signs) {
  facts.slurm_answers = !signs.partitions.empty();
  std::optional<KnownCluster> own = own_cluster(signs);
  if (!own) {
    facts.partitions = std::move(signs.partitions);
    if (!facts.slurm_answers)
      for (KnownCluster& each : signs.shipped) add_all(facts, std::move(each), true);
  } else if (signs.partitions.empty()) {
    add_all(facts, *std::move(own), !signs.has_slurm);
  } else {
    add_known(facts, *std::move(own), signs.partitions);
  }
}

void find_cluster(WizardFacts& facts) {
  // A controller that does not answer lets sinfo wait for minutes.
  const ProgramOutcome sinfo =
      run_program({"timeout", "--kill-after=1", "5", "sinfo", "--noheader", "--format=%P|%D|%G|%l"});
  ClusterSigns signs{.host = host_name(), .has_slurm = sinfo.code != kNotFound};
  if (sinfo.code == 0) signs.partitions = partitions_in(sinfo.out);
  signs.named = named_cluster(facts);
  for (ClusterProfile& each : shipped_profiles()) {
    std::string name = each.name;
    signs.shipped.push_back({std::move(name), std::move(each)});
  }
  add_cluster(facts, std::move(signs));
}

std::vector<std::string> slurm_settings(const WizardView& view) {
  if (!view.in_slurm()) return {};
  const SlurmConfig slurm = slurm_of(view);
  return {"slurm.profile=" + toml_quoted(slurm.profile),
          "slurm.partition=" + toml_quoted(slurm.partition),
          "slurm.qos=" + toml_quoted(slurm.qos),
          fmt::format("slurm.nodes={}", slurm.nodes),
          "slurm.gpus_per_node=" + in_words(slurm.gpus_per_node),
          "slurm.ntasks_per_node=" + in_words(slurm.ntasks_per_node),
          "slurm.cpus_per_task=" + in_words(slurm.cpus_per_task),
          "slurm.mem=" + toml_quoted(slurm.mem),
          "slurm.time=" + toml_quoted(slurm.time)};
}

}  // namespace ferula
