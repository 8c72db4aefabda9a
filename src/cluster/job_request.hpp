// What a job asks SLURM for: [slurm] of a configuration, completed from a cluster's profile and held against its
// limits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster_profile.hpp"
#include "config/load_config.hpp"

namespace ferula {

struct JobRequest {
  std::string partition, qos, account;  // empty: SLURM's default
  std::int64_t nodes = 1;
  std::int64_t ntasks_per_node = 1;
  std::int64_t gpus_per_node = 0;
  std::int64_t cpus_per_task = 1;
  std::int64_t memory_mib = 0;         // of a node; 0: SLURM's default
  bool takes_all_memory = false;       // of each node, which may be more or less than the profile says
  std::optional<std::int64_t> time_s;  // empty: SLURM's default
  std::int64_t signal_before_s = 300;
  bool requeue = true;
  std::vector<std::string> modules, setup, options;
  std::string mpi = "pmix";

  std::int64_t ranks() const { return nodes * ntasks_per_node; }
  std::int64_t gpus() const { return nodes * gpus_per_node; }
  std::int64_t cpus() const { return nodes * ntasks_per_node * cpus_per_task; }
};

/// Fills in what [slurm] leaves open; the rules stand in docs/configuration.md. `profile`: null without one.
JobRequest job_request(const Config& config, const ClusterProfile* profile);

/// Adds a mistake for everything that SLURM would refuse, or would leave waiting for ever, with what would be granted.
/// The draft's own mistakes count, too: the caller throws them.
void check_job(ConfigDraft& draft, const JobRequest& request, const ClusterProfile* profile);

/// "--nodes=2", "--gres=gpu:4", …: the request as options of sbatch, srun and salloc alike.
std::vector<std::string> resource_options(const JobRequest& request);

}  // namespace ferula
