// What a cluster has and allows: a TOML file that comes with the program (slurm/profiles/) or that a user writes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// Limits of a quality of service; empty where there is none, or none is known. What is counted, is counted over a job.
struct ClusterQos {
  std::string name;
  std::string time;  // as in the file: "1-00:00:00"
  std::optional<std::int64_t> cpus, gpus, jobs;
  std::string mem;
  std::optional<std::int64_t> time_s, memory_mib;  // what `time` and `mem` say
  bool preemptible = false;
};

/// Nodes that are alike.
struct ClusterPartition {
  std::string name;
  std::int64_t nodes = 1;
  std::int64_t gpus_per_node = 0;
  std::int64_t cpus_per_node = 1;
  std::string mem_per_node;
  std::int64_t memory_mib = 0;   // what `mem_per_node` says
  std::string card;              // as `ferula plan --card` knows it
  std::vector<std::string> qos;  // the first one is the default; none: the cluster has none
};

struct ClusterProfile {
  std::string name;    // of the file
  std::string origin;  // its path
  std::string default_partition;
  std::vector<std::string> head_nodes;  // globs of host names on which nothing may run
  std::vector<std::string> modules;
  std::string home;  // globs of paths that are not for data, and what to use instead
  std::string work;
  std::vector<ClusterPartition> partitions;  // in alphabetical order
  std::vector<ClusterQos> qos;

  const ClusterPartition* partition(std::string_view wanted) const;
  const ClusterQos* find_qos(std::string_view wanted) const;
};

/// Throws ConfigMistakes with every mistake of the file `origin`.
ClusterProfile parse_profile(const std::string& text, const std::string& origin);

/// Reads the profile `wanted`: a path where there is a '/' or ".toml" in it, else NAME.toml in one of `folders`. Throws
/// ConfigError that names the profiles there are.
ClusterProfile load_profile(const std::string& wanted, const std::vector<std::string>& folders);

/// Every profile of `folders`; one that cannot be read is left out.
std::vector<ClusterProfile> all_profiles(const std::vector<std::string>& folders);

/// Whether a host of this name is a head node of the cluster.
bool is_head_node(const ClusterProfile& profile, const std::string& host);

}  // namespace ferula
