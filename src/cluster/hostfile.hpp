// Hosts without a scheduler: DeepSpeed's and Open MPI's hostfiles, and DeepSpeed's filters over them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// A host and the slots (GPUs, or ranks without GPUs) that may be used on it.
struct HostSlots {
  std::string name;
  std::vector<std::int64_t> slots;  // numbers, ascending

  friend bool operator==(const HostSlots&, const HostSlots&) = default;
};

/// Reads lines `worker-0 slots=4`; also Open MPI's `slots=4 max_slots=8` and SLURM's `gpu[01-08] slots=8`. Empty lines
/// and what follows # do not count. Throws ConfigError in DeepSpeed's words, with `name` and the line, for a bad entry,
/// a host given twice, and where there is none at all.
std::vector<HostSlots> parse_hostfile(std::string_view text, const std::string& name);

/// Which of the hosts and slots to use. At most one of the filters, or numbers alone.
struct HostFilter {
  std::string include;                    // "worker-0@worker-1:0,2": these hosts, these slots
  std::string exclude;                    // the same form: all but these
  std::optional<std::int64_t> num_nodes;  // the first hosts
  std::optional<std::int64_t> num_gpus;   // the first slots of each host
};

/// The hosts that are left, in the hostfile's order, none without slots. Throws ConfigError in DeepSpeed's words for
/// hosts and slots that are not there, and for filters that contradict each other.
std::vector<HostSlots> select_hosts(const std::vector<HostSlots>& hosts, const HostFilter& filter);

}  // namespace ferula
