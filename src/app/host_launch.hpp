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

/// One rank a slot, in the hosts' order; a host of which only some slots are used shows its ranks only those GPUs.
/// `arguments`: behind `ferula`. `forwarded`: names of variables that the other hosts get. `per_rank_log`: a folder for
/// what each rank prints, or empty.
std::vector<std::string> mpirun_words(const std::vector<HostSlots>& hosts, const std::vector<std::string>& arguments,
                                      const std::vector<std::string>& forwarded, const std::string& per_rank_log);

/// Becomes mpirun with those words. Throws DeviceError where there is none.
[[noreturn]] void launch_on_hosts(const CommandLine& line, const std::vector<HostSlots>& hosts,
                                  const std::vector<std::string>& arguments);

}  // namespace ferula
