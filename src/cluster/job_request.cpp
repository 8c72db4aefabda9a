#include "cluster/job_request.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/quantities.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kUnlimitedAsks = 86'400;  // where the QOS has no limit: a day starts sooner than a week

/// What of a node's memory jobs can have: the system keeps a part.
std::int64_t grantable_memory(const ClusterPartition& partition) { return partition.memory_mib / 16 * 15; }

template <class T>
T at_most(T value, const std::optional<T>& limit) {
  return limit ? std::min(value, *limit) : value;
}

std::optional<std::int64_t> per_node(const std::optional<std::int64_t>& limit, std::int64_t nodes) {
  if (!limit) return std::nullopt;
  return *limit / nodes;
}

/// One way through the open values: each is read after those that it depends on.
class Completion {
 public:
  Completion(const Config& config, const ClusterPartition* partition, const ClusterQos* qos)
      : config_(config), given_(config.slurm), partition_(partition), qos_(qos ? *qos : ClusterQos{}) {}

  void fill(JobRequest& request) const {
    request.gpus_per_node = given_.gpus_per_node.value.value_or(open_gpus());
    request.ntasks_per_node = given_.ntasks_per_node.value.value_or(std::max<std::int64_t>(1, request.gpus_per_node));
    request.cpus_per_task = given_.cpus_per_task.value.value_or(open_cpus(request));
    fill_memory(request);
    request.time_s = given_.time.empty() ? open_time() : seconds_of_slurm_time(given_.time);
    if (request.time_s == 0) request.time_s = kNoTimeLimit;  // as sbatch reads it
  }

 private:
  /// To sbatch a memory of 0 is all that a node has.
  void fill_memory(JobRequest& request) const {
    const auto memory = mebibytes_of_slurm_memory(given_.mem);
    request.takes_all_memory = memory == 0;
    request.memory_mib = memory.value_or(open_memory(request));
    if (request.takes_all_memory && partition_ != nullptr) request.memory_mib = partition_->memory_mib;
  }

  std::int64_t open_gpus() const {
    if (partition_ == nullptr || config_.run.device == "cpu") return 0;
    const std::int64_t wanted = given_.ntasks_per_node.value.value_or(partition_->gpus_per_node);
    return std::min(wanted,
                    std::max<std::int64_t>(1, at_most(partition_->gpus_per_node, per_node(qos_.gpus, given_.nodes))));
  }

  /// As many processors as belong to a GPU; of a node without GPUs the ranks share all.
  std::int64_t open_cpus(const JobRequest& request) const {
    if (partition_ == nullptr) return 1;
    const std::int64_t parts = std::max(request.ntasks_per_node, partition_->gpus_per_node);
    const std::int64_t share =
        at_most(partition_->cpus_per_node / parts, per_node(qos_.cpus, given_.nodes * request.ntasks_per_node));
    return std::max<std::int64_t>(1, share);
  }

  std::int64_t open_memory(const JobRequest& request) const {
    if (partition_ == nullptr) return 0;
    const std::int64_t cpus = std::min(request.ntasks_per_node * request.cpus_per_task, partition_->cpus_per_node);
    const std::int64_t share = at_most(grantable_memory(*partition_) * cpus / partition_->cpus_per_node,
                                       per_node(qos_.memory_mib, given_.nodes));
    return share >= 1024 ? share / 1024 * 1024 : share;
  }

  std::optional<std::int64_t> open_time() const {
    if (partition_ == nullptr) return std::nullopt;
    return qos_.time_s.value_or(kUnlimitedAsks);
  }

  const Config& config_;
  const SlurmConfig& given_;
  const ClusterPartition* partition_;
  ClusterQos qos_;
};

const ClusterQos* default_qos(const ClusterProfile& profile, const ClusterPartition& partition) {
  return partition.qos.empty() ? nullptr : profile.find_qos(partition.qos.front());
}

}  // namespace

JobRequest job_request(const Config& config, const ClusterProfile* profile) {
  const SlurmConfig& given = config.slurm;
  JobRequest request{.partition = given.partition,
                     .qos = given.qos,
                     .account = given.account,
                     .nodes = given.nodes,
                     .signal_before_s = given.signal_before_s,
                     .requeue = given.requeue,
                     .modules = given.modules,
                     .setup = given.setup,
                     .options = given.options,
                     .mpi = given.mpi};
  const ClusterPartition* partition = nullptr;
  const ClusterQos* qos = nullptr;
  if (profile != nullptr) {
    if (request.partition.empty()) request.partition = profile->default_partition;
    if (request.modules.empty()) request.modules = profile->modules;
    partition = profile->partition(request.partition);
    qos = !request.qos.empty() ? profile->find_qos(request.qos)
                               : (partition != nullptr ? default_qos(*profile, *partition) : nullptr);
    if (qos != nullptr) request.qos = qos->name;
  }
  Completion(config, partition, qos).fill(request);
  return request;
}

std::vector<std::string> resource_options(const JobRequest& request) {
  std::vector<std::string> options;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) options.push_back(fmt::format("--{}={}", name, value));
  };
  add("partition", request.partition);
  add("qos", request.qos);
  add("account", request.account);
  add("nodes", std::to_string(request.nodes));
  add("ntasks-per-node", std::to_string(request.ntasks_per_node));
  add("cpus-per-task", std::to_string(request.cpus_per_task));
  if (request.gpus_per_node > 0) add("gres", fmt::format("gpu:{}", request.gpus_per_node));
  if (request.takes_all_memory || request.memory_mib > 0)
    add("mem", request.takes_all_memory ? "0" : slurm_memory(request.memory_mib));
  if (request.time_s) add("time", slurm_time(*request.time_s));
  options.insert(options.end(), request.options.begin(), request.options.end());
  return options;
}

}  // namespace ferula
