// The rules of check_job: each holds a part of the request against the profile.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/job_request.hpp"
#include "cluster/quantities.hpp"
#include "config/config_rules.hpp"
#include "config/nearest_name.hpp"

namespace ferula {
namespace {

template <class Items>
std::vector<std::string> names_of(const Items& items) {
  std::vector<std::string> names;
  for (const auto& each : items) names.push_back(each.name);
  return names;
}

std::string nearest_or_all(const std::string& word, const std::vector<std::string>& names) {
  const auto near = nearest_name(word, names);
  return near ? fmt::format("did you mean '{}'?", *near) : fmt::format("there are: {}", fmt::join(names, ", "));
}

class JobCheck {
 public:
  JobCheck(ConfigDraft& draft, const JobRequest& request) : draft_(draft), request_(request) {}

  void without_profile() {
    const SlurmConfig& given = draft_.loaded.config.slurm;
    if (!given.time.empty() && !request_.time_s)
      report({"slurm.time"}, fmt::format("slurm.time: expected a time as SLURM writes it, found '{}'", given.time),
             "write for example \"4:00:00\" or \"1-00:00:00\"");
    if (!given.mem.empty() && !mebibytes_of_slurm_memory(given.mem))
      report({"slurm.mem"}, fmt::format("slurm.mem: expected a size as SLURM writes it, found '{}'", given.mem),
             "write for example \"128G\"");
    if (request_.time_s && *request_.time_s != kNoTimeLimit && *request_.time_s <= request_.signal_before_s)
      report({"slurm.time", "slurm.signal_before_s"},
             fmt::format("slurm.time: expected more than the {} s before its end in which the run is saved, found {}",
                         request_.signal_before_s, slurm_time(*request_.time_s)),
             "ask for more time, or lower slurm.signal_before_s");
    const bool shares = draft_.loaded.config.run.share_gpu;
    if (request_.gpus_per_node > 0 && request_.ntasks_per_node != request_.gpus_per_node && !shares)
      report({"slurm.ntasks_per_node", "slurm.gpus_per_node"},
             fmt::format("slurm.ntasks_per_node: expected one rank for each of {} GPUs, found {}",
                         request_.gpus_per_node, request_.ntasks_per_node),
             "remove slurm.ntasks_per_node");
  }

  /// Empty where the profile has no such partition.
  const ClusterPartition* partition(const ClusterProfile& profile) {
    const ClusterPartition* found = profile.partition(request_.partition);
    if (found == nullptr)
      report({"slurm.partition"},
             fmt::format("slurm.partition: expected a partition of {}, found '{}'", profile.name, request_.partition),
             nearest_or_all(request_.partition, names_of(profile.partitions)));
    return found;
  }

  void fits_nodes(const ClusterPartition& partition) {
    const std::string has = fmt::format("of partition {}", partition.name);
    bound({"slurm.nodes"}, "nodes", request_.nodes, partition.nodes, has);
    bound({"slurm.gpus_per_node"}, "GPUs a node", request_.gpus_per_node, partition.gpus_per_node, has);
    bound({"slurm.cpus_per_task", "slurm.ntasks_per_node"}, "processors a node",
          request_.ntasks_per_node * request_.cpus_per_task, partition.cpus_per_node, has);
    if (request_.memory_mib > partition.memory_mib)
      report({"slurm.mem"},
             fmt::format("slurm.mem: a node of partition {} has {}, you ask {}", partition.name,
                         slurm_memory(partition.memory_mib), slurm_memory(request_.memory_mib)),
             "ask for less, or leave slurm.mem out");
  }

  /// Empty where there is no limit to check.
  const ClusterQos* qos(const ClusterProfile& profile, const ClusterPartition& partition) {
    const auto& legal = partition.qos;
    if (legal.empty() || std::find(legal.begin(), legal.end(), request_.qos) != legal.end())
      return profile.find_qos(request_.qos);
    report({"slurm.qos", "slurm.partition"},
           fmt::format("slurm.qos: expected a QOS of partition {}, found '{}'", partition.name, request_.qos),
           nearest_or_all(request_.qos, legal));
    return nullptr;
  }

  void within(const ClusterProfile& profile, const ClusterQos& qos) {
    const std::string other = granting(profile, qos);
    limit({"slurm.gpus_per_node", "slurm.nodes"}, qos, "GPUs", request_.gpus(), qos.gpus, other);
    limit({"slurm.cpus_per_task", "slurm.ntasks_per_node", "slurm.nodes"}, qos, "processors", request_.cpus(), qos.cpus,
          other);
    const std::int64_t memory = request_.memory_mib * request_.nodes;
    if (qos.memory_mib && memory > *qos.memory_mib)
      report({"slurm.mem", "slurm.nodes"},
             fmt::format("slurm.mem: QOS {} allows {}, you ask {}", qos.name, slurm_memory(*qos.memory_mib),
                         slurm_memory(memory)),
             "ask for less" + other);
    if (qos.time_s && request_.time_s && *request_.time_s > *qos.time_s)
      report({"slurm.time", "slurm.qos"},
             fmt::format("slurm.time: QOS {} allows {}, you ask {}", qos.name, slurm_time(*qos.time_s),
                         slurm_time(*request_.time_s)),
             request_.requeue
                 ? "leave slurm.time out: the job is queued again at its limit and the run goes on by itself"
                 : "ask for less, or set slurm.requeue = true and leave slurm.time out" + other);
  }

 private:
  bool grants(const ClusterPartition& partition, const ClusterQos& qos) const {
    const std::int64_t memory = request_.memory_mib * request_.nodes;
    return request_.nodes <= partition.nodes && request_.gpus_per_node <= partition.gpus_per_node &&
           request_.gpus() <= qos.gpus.value_or(request_.gpus()) &&
           request_.cpus() <= qos.cpus.value_or(request_.cpus()) && memory <= qos.memory_mib.value_or(memory) &&
           request_.time_s.value_or(0) <= qos.time_s.value_or(kNoTimeLimit);
  }

  /// "; these allow it: normal (partition defq), preemptive-a6000 (partition a6000)".
  std::string granting(const ClusterProfile& profile, const ClusterQos& refused) const {
    std::vector<std::string> found;
    for (const ClusterPartition& partition : profile.partitions)
      for (const std::string& name : partition.qos) {
        const ClusterQos* qos = profile.find_qos(name);
        if (qos == nullptr || name == refused.name || !grants(partition, *qos)) continue;
        found.push_back(fmt::format("{} (partition {})", name, partition.name));
      }
    return found.empty() ? "" : fmt::format("; these QOS allow it: {}", fmt::join(found, ", "));
  }

  void bound(const std::vector<std::string>& keys, std::string_view what, std::int64_t asked, std::int64_t most,
             const std::string& has) {
    if (asked <= most) return;
    report(keys, fmt::format("{}: expected at most the {} {} {}, found {}", keys.front(), most, what, has, asked),
           "ask for less, or choose another slurm.partition");
  }

  void limit(const std::vector<std::string>& keys, const ClusterQos& qos, std::string_view what, std::int64_t asked,
             const std::optional<std::int64_t>& most, const std::string& other) {
    if (!most || asked <= *most) return;
    report(keys, fmt::format("{}: QOS {} allows {} {}, you ask {}", keys.front(), qos.name, *most, what, asked),
           "ask for less" + other);
  }

  void report(const std::vector<std::string>& keys, std::string message, std::string fix) {
    report_rule(draft_.loaded, draft_.mistakes, keys, std::move(message), std::move(fix));
  }

  ConfigDraft& draft_;
  const JobRequest& request_;
};

}  // namespace

void check_job(ConfigDraft& draft, const JobRequest& request, const ClusterProfile* profile) {
  JobCheck check(draft, request);
  check.without_profile();
  if (profile == nullptr) return;
  const ClusterPartition* partition = check.partition(*profile);
  if (partition == nullptr) return;
  check.fits_nodes(*partition);
  if (const ClusterQos* qos = check.qos(*profile, *partition)) check.within(*profile, *qos);
}

}  // namespace ferula
