#include "app/host_launch.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "app/common_options.hpp"
#include "app/job_plan.hpp"
#include "cluster/run_program.hpp"
#include "comm/launch_environment.hpp"
#include "config/load_config.hpp"

namespace ferula {
namespace {

constexpr OptionSpec kHostfile{"hostfile", "FILE",
                               "Starts a rank on every slot of these hosts over ssh: lines `worker-0 slots=4`."};
constexpr OptionSpec kInclude{"include", "HOSTS", "Only these hosts and slots: worker-0@worker-1:0,2."};
constexpr OptionSpec kExclude{"exclude", "HOSTS", "All hosts and slots but these."};
constexpr OptionSpec kNumNodes{"num-nodes", "N", "The first N hosts."};
constexpr OptionSpec kNumGpus{"num-gpus", "N", "The first N slots of each host."};

std::string numbers(const std::vector<std::int64_t>& slots) { return fmt::format("{}", fmt::join(slots, ",")); }

/// Whether the slots are the first ones, as ranks take their GPUs by themselves.
bool are_first(const std::vector<std::int64_t>& slots) { return slots.back() == std::ssize(slots) - 1; }

}  // namespace

std::vector<OptionSpec> host_options() { return {kHostfile, kInclude, kExclude, kNumNodes, kNumGpus, kPerRankLog}; }

std::optional<std::vector<HostSlots>> hosts_named(const CommandLine& line) {
  const auto file = line.text(kHostfile.name);
  if (!file) {
    for (const OptionSpec& option : {kInclude, kExclude, kNumNodes, kNumGpus})
      if (line.has(option.name))
        throw ConfigError(fmt::format("--{} chooses among the hosts of a hostfile: give --hostfile, too", option.name));
    return std::nullopt;
  }
  if (line.has("ranks") || line.has("ranks-simulated"))
    throw ConfigError("--hostfile says how many ranks there are: use it without --ranks");
  const HostFilter filter{.include = line.text(kInclude.name).value_or(""),
                          .exclude = line.text(kExclude.name).value_or(""),
                          .num_nodes = line.integer(kNumNodes.name, 1),
                          .num_gpus = line.integer(kNumGpus.name, 1)};
  return select_hosts(parse_hostfile(read_config_text(*file), *file), filter);
}

std::vector<std::string> mpirun_words(const std::vector<HostSlots>& hosts, const std::vector<std::string>& arguments,
                                      const std::vector<std::string>& forwarded, const std::string& per_rank_log) {
  std::vector<std::string> words{"mpirun", "--bind-to", "none"};
  if (geteuid() == 0) words.emplace_back("--allow-run-as-root");
  if (!per_rank_log.empty()) words.insert(words.end(), {"--output-filename", per_rank_log});
  for (const std::string& name : forwarded) words.insert(words.end(), {"-x", name});
  for (const HostSlots& host : hosts) {
    if (&host != &hosts.front()) words.emplace_back(":");
    const auto ranks = std::to_string(host.slots.size());
    words.insert(words.end(), {"-n", ranks, "--host", host.name + ":" + ranks});
    if (!are_first(host.slots)) words.insert(words.end(), {"env", "CUDA_VISIBLE_DEVICES=" + numbers(host.slots)});
    words.push_back(this_program());
    words.insert(words.end(), arguments.begin(), arguments.end());
  }
  return words;
}

void launch_on_hosts(const CommandLine& line, const std::vector<HostSlots>& hosts,
                     const std::vector<std::string>& arguments) {
  become_program(mpirun_words(hosts, arguments, forwarded_variables(), line.text(kPerRankLog.name).value_or("")),
                 "install Open MPI (Debian: openmpi-bin) or load its module");
}

}  // namespace ferula
