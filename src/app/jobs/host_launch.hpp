// Ranks on the hosts of a hostfile, where no scheduler starts them: mpirun, which reaches the hosts by ssh.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/command_line.hpp"
#include "cluster/hostfile.hpp"

namespace ferula {

/// --hostfile and what chooses among its hosts.
std::vector<OptionSpec> host_options();

/// The chosen hosts; empty without --hostfile. Throws ConfigError for what is wrong with file or choice, and for a
/// choice without a hostfile.
std::optional<std::vector<HostSlots>> hosts_named(const CommandLine& line);

/// mpirun's words that start `arguments`, the words behind `ferula`, on a rank for each slot.
std::vector<std::string> words_over_hosts(const CommandLine& line, const std::vector<HostSlots>& hosts,
                                          const std::vector<std::string>& arguments);

/// Becomes mpirun with those words. Throws DeviceError where there is none, or that of another MPI.
[[noreturn]] void launch_on_hosts(const CommandLine& line, const std::vector<HostSlots>& hosts,
                                  const std::vector<std::string>& arguments);

}  // namespace ferula
