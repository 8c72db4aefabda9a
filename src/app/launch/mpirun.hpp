// The words of mpirun: Open MPI's and Hydra's (MPICH, MVAPICH), which must be the one of the program's own MPI library.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/hostfile.hpp"

namespace ferula {

enum class MpiKind : unsigned char { open_mpi, hydra, intel };

/// Of what `mpirun --version` prints or an MPI library says of itself; empty for an unknown one.
std::optional<MpiKind> mpi_kind(std::string_view version);
/// "Open MPI", "MPICH", "Intel MPI".
std::string_view name_of(MpiKind kind);

/// What is wrong with the mpirun in PATH for a program that runs with `library`; empty where it fits or there is none.
std::string mpirun_problem(const std::string& library);

/// What ranks on other hosts get of the environment: names, or NAME=VALUE.
using ForwardedVariables = std::vector<std::string>;

/// One rank a slot, in the hosts' order; a host of which only some slots are used shows its ranks only those GPUs.
/// `command`: the program and its words. Throws ConfigError for Intel's, which takes its hosts in another way.
std::vector<std::string> mpirun_over_hosts(MpiKind kind, const std::vector<HostSlots>& hosts,
                                           const std::vector<std::string>& command,
                                           const ForwardedVariables& forwarded);

/// Up to the number of ranks on this host. No binding: two jobs would be bound to the same processors; each rank takes
/// its share of them by its threads instead.
std::vector<std::string> mpirun_here(MpiKind kind, int ranks);

}  // namespace ferula
