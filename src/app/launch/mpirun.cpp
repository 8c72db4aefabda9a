#include "app/launch/mpirun.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <thread>

#include "base/error.hpp"
#include "cluster/run_program.hpp"

namespace ferula {
namespace {

std::string numbers(const std::vector<std::int64_t>& slots) { return fmt::format("{}", fmt::join(slots, ",")); }

/// Whether the slots are the first ones, as ranks take their GPUs by themselves.
bool are_first(const std::vector<std::int64_t>& slots) { return slots.back() == std::ssize(slots) - 1; }

std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find_first_of("\n,"))); }

std::vector<std::string> start_of_open_mpi(const ForwardedVariables& forwarded) {
  std::vector<std::string> words{"mpirun", "--bind-to", "none"};
  if (geteuid() == 0) words.emplace_back("--allow-run-as-root");
  for (const std::string& variable : forwarded) words.insert(words.end(), {"-x", variable});
  return words;
}

/// Hydra names all hosts first and then fills their slots in order.
std::vector<std::string> start_of_hydra(const std::vector<HostSlots>& hosts, const ForwardedVariables& forwarded) {
  std::vector<std::string> words{"mpirun", "-bind-to", "none"}, names, places;
  for (const std::string& variable : forwarded) {
    const std::size_t equals = variable.find('=');
    if (equals == std::string::npos)
      names.push_back(variable);
    else
      words.insert(words.end(), {"-genv", variable.substr(0, equals), variable.substr(equals + 1)});
  }
  if (!names.empty()) words.insert(words.end(), {"-genvlist", fmt::format("{}", fmt::join(names, ","))});
  for (const HostSlots& host : hosts) places.push_back(fmt::format("{}:{}", host.name, host.slots.size()));
  words.insert(words.end(), {"-hosts", fmt::format("{}", fmt::join(places, ","))});
  return words;
}

}  // namespace

std::optional<MpiKind> mpi_kind(std::string_view version) {
  const auto says = [&](std::string_view word) { return version.find(word) != std::string_view::npos; };
  if (says("Open MPI") || says("OpenRTE")) return MpiKind::open_mpi;
  if (says("Intel(R) MPI")) return MpiKind::intel;
  if (says("HYDRA") || says("MPICH") || says("MVAPICH")) return MpiKind::hydra;
  return std::nullopt;
}

std::string_view name_of(MpiKind kind) {
  if (kind == MpiKind::open_mpi) return "Open MPI";
  return kind == MpiKind::hydra ? "MPICH" : "Intel MPI";
}

std::string mpirun_problem(const std::string& library) {
  const ProgramOutcome outcome = run_program({"mpirun", "--version"});
  const std::optional<MpiKind> launcher = mpi_kind(outcome.out + outcome.err), own = mpi_kind(library);
  if (!launcher || !own || launcher == own) return "";
  return fmt::format(
      "the mpirun in PATH is that of {} ({}), the program runs with {}: ranks that it starts do not know of each "
      "other. Load the module of that MPI alone, or put the folder of its mpirun first in PATH",
      name_of(*launcher), first_line(outcome.said()), first_line(library));
}

std::vector<std::string> mpirun_over_hosts(MpiKind kind, const std::vector<HostSlots>& hosts,
                                           const std::vector<std::string>& command,
                                           const ForwardedVariables& forwarded) {
  if (kind == MpiKind::intel)
    throw ConfigError(
        "--hostfile: expected a program that was built with Open MPI or MPICH, found Intel MPI, whose mpirun takes "
        "hosts in another way; start it yourself: mpirun -machinefile FILE -n N ferula …");
  std::vector<std::string> words =
      kind == MpiKind::hydra ? start_of_hydra(hosts, forwarded) : start_of_open_mpi(forwarded);
  for (const HostSlots& host : hosts) {
    if (&host != &hosts.front()) words.emplace_back(":");
    const auto ranks = std::to_string(host.slots.size());
    words.insert(words.end(), {"-n", ranks});
    if (kind == MpiKind::open_mpi) words.insert(words.end(), {"--host", host.name + ":" + ranks});
    if (!are_first(host.slots)) words.insert(words.end(), {"env", "CUDA_VISIBLE_DEVICES=" + numbers(host.slots)});
    words.insert(words.end(), command.begin(), command.end());
  }
  return words;
}

std::vector<std::string> mpirun_here(MpiKind kind, int ranks) {
  const std::string count = std::to_string(ranks);
  if (kind == MpiKind::intel) return {"mpirun", "-genv", "I_MPI_PIN", "off", "-n", count};
  if (kind == MpiKind::hydra) return {"mpirun", "-bind-to", "none", "-n", count};
  std::vector<std::string> words{"mpirun", "--quiet", "--oversubscribe", "--bind-to", "none", "-n", count};
  if (geteuid() == 0) words.emplace_back("--allow-run-as-root");
  if (ranks > static_cast<int>(std::thread::hardware_concurrency()))
    words.insert(words.end(), {"--mca", "mpi_yield_when_idle", "1"});
  return words;
}

}  // namespace ferula
