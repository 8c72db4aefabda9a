#include "app/jobs/host_launch.hpp"

#include <fmt/format.h>

#include <memory>

#include "app/common_options.hpp"
#include "app/jobs/job_plan.hpp"
#include "app/launch/mpirun.hpp"
#include "cluster/run_program.hpp"
#include "comm/launch_environment.hpp"
#include "comm/mpi_environment.hpp"
#include "storage/file_system.hpp"

namespace ferula {
namespace {

constexpr OptionSpec kHostfile{"hostfile", "FILE",
                               "Starts a rank on every slot of these hosts over ssh: lines `worker-0 slots=4`."};
constexpr OptionSpec kInclude{"include", "HOSTS", "Only these hosts and slots: worker-0@worker-1:0,2."};
constexpr OptionSpec kExclude{"exclude", "HOSTS", "All hosts and slots but these."};
constexpr OptionSpec kNumNodes{"num-nodes", "N", "The first N hosts."};
constexpr OptionSpec kNumGpus{"num-gpus", "N", "The first N slots of each host."};
constexpr OptionSpec kEnvForward{"env-forward", "NAME",
                                 "With --hostfile: also this variable (NAME, 'WANDB_*' or NAME=VALUE); repeatable."};

constexpr std::int64_t kMostHostfileBytes = 1 << 20;

std::string hostfile_text(const std::string& path) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  if (!files->exists(path) || files->is_directory(path))
    throw ConfigError(
        fmt::format("--hostfile: expected a file with a line `NAME slots=N` for each host, found none at '{}'", path));
  return read_file(*files, path, kMostHostfileBytes);
}

}  // namespace

std::vector<OptionSpec> host_options() {
  return {kHostfile, kInclude, kExclude, kNumNodes, kNumGpus, kEnvForward, kPerRankLog};
}

std::optional<std::vector<HostSlots>> hosts_named(const CommandLine& line) {
  const auto file = line.text(kHostfile.name);
  if (!file) {
    for (const OptionSpec& option : {kInclude, kExclude, kNumNodes, kNumGpus, kEnvForward})
      if (line.has(option.name))
        throw ConfigError(fmt::format("--{} is about the hosts of a hostfile: give --hostfile, too", option.name));
    return std::nullopt;
  }
  if (line.has("ranks") || line.has("ranks-simulated"))
    throw ConfigError("--hostfile says how many ranks there are: use it without --ranks");
  const HostFilter filter{.include = line.text(kInclude.name).value_or(""),
                          .exclude = line.text(kExclude.name).value_or(""),
                          .num_nodes = line.integer(kNumNodes.name, 1),
                          .num_gpus = line.integer(kNumGpus.name, 1)};
  return select_hosts(parse_hostfile(hostfile_text(*file), *file), filter);
}

std::vector<std::string> words_over_hosts(const CommandLine& line, const std::vector<HostSlots>& hosts,
                                          const std::vector<std::string>& arguments) {
  std::vector<std::string> command{this_program()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return mpirun_over_hosts(mpi_kind(mpi_library()).value_or(MpiKind::open_mpi), hosts, command,
                           forwarded_variables(line.all(kEnvForward.name)));
}

void launch_on_hosts(const CommandLine& line, const std::vector<HostSlots>& hosts,
                     const std::vector<std::string>& arguments) {
  if (const std::string problem = mpirun_problem(mpi_library()); !problem.empty()) throw DeviceError(problem);
  become_program(words_over_hosts(line, hosts, arguments), "install Open MPI (Debian: openmpi-bin) or load its module");
}

}  // namespace ferula
