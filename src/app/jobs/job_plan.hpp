// From a configuration to the job that trains it: what `ferula submit` and the guard of head nodes share.
#pragma once

#include <optional>
#include <string>

#include "app/command_line.hpp"
#include "cluster/job_request.hpp"
#include "model/transformer_spec.hpp"

namespace ferula {

/// The profile that [slurm] names, read from the folders that come with the program; empty where it names none.
std::optional<ClusterProfile> profile_of(const SlurmConfig& slurm);

/// The profiles that come with the program.
std::vector<ClusterProfile> shipped_profiles();
/// FERULA_SLURM__PROFILE; empty where it is not set.
std::string profile_in_environment();

/// A configuration with what its job asks for; checked.
struct JobPlan {
  Config config;
  TransformerSpec spec;
  std::optional<ClusterProfile> profile;
  JobRequest request;
};

/// Throws ConfigMistakes with every mistake of the configuration, of its batch on the job's ranks, and of the request;
/// CapacityError where the GPUs of the partition do not hold what a rank needs.
JobPlan plan_job(const std::string& config_path, const std::vector<std::string>& sets);

/// The profile that the configuration `config_path` (empty: none) or the environment names; empty where there is none,
/// or where it cannot be read: the command itself tells the mistakes of its configuration.
std::optional<ClusterProfile> profile_here(const std::string& config_path, const std::vector<std::string>& sets);

/// This program, absolute.
std::string this_program();

/// What a command takes of a node: ranks that `srun` starts, GPUs on which it starts ranks itself, or a processor.
enum class HeavyWork : unsigned char { ranks, own_ranks, one_task };

/// Throws ConfigError where this host is a head node of the cluster that the configuration `config_path` (empty: none)
/// or the environment names and no job runs here: computing is for jobs. Says how `arguments` ("train my.toml")
/// becomes one.
void refuse_on_head_node(const std::string& config_path, const std::vector<std::string>& sets,
                         const std::vector<std::string>& arguments, HeavyWork work);

}  // namespace ferula
