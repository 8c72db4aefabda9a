// Checks of MPI, of PMIx between it and SLURM, and of the network that it uses.
#include <algorithm>

#include "base/error.hpp"
#include "doctor/check.hpp"
#include "doctor/facts_text.hpp"

namespace ferula {
namespace {

constexpr std::size_t kLongestSocketFolder = 80;  // of 108 bytes of a socket's path, PMIx takes the rest

bool is_slurm_job(const SystemFacts& facts) { return facts.variable("SLURM_JOB_ID").has_value(); }

Finding mpirun(const SystemFacts& facts) {
  if (const auto version = answer_of(facts, {"mpirun", "--version"})) return good(*version);
  return is_slurm_job(facts) ? skipped("no mpirun; srun starts ranks") : failed("no mpirun in PATH");
}

Finding mpi_match(const SystemFacts& facts) {
  const auto launcher = answer_of(facts, {"mpirun", "--version"});
  if (!launcher) return skipped("no mpirun to compare");
  const std::string& library = facts.job().mpi_library;
  const auto of_launcher = version_in(*launcher), of_library = version_in(library);
  const bool is_one_kind =
      (launcher->find("Open MPI") == std::string::npos) == (library.find("Open MPI") == std::string::npos);
  if (is_one_kind && of_launcher == of_library) return good(fmt::format("both {}", of_library.value_or("unknown")));
  return failed(
      fmt::format("mpirun is '{}', the program runs with '{}'", *launcher, library.substr(0, library.find(','))));
}

Finding mpi_library(const SystemFacts& facts) {
  const std::string& library = facts.job().mpi_library;
  return good(library.substr(0, library.find(',')));
}

Finding mpi_one_job(const SystemFacts& facts) {
  const int ranks = facts.job().ranks;
  const double started = first_number(facts.variable("SLURM_STEP_NUM_TASKS").value_or("1")).value_or(1.0);
  const bool in_step = facts.variable("SLURM_PROCID").has_value() && facts.variable("SLURM_STEP_ID").has_value();
  if (in_step && started > 1.0 && ranks == 1)
    return failed(fmt::format("srun started {:.0f} programs that do not know of each other", started));
  return good(fmt::format("{} rank{} in one job", ranks, ranks == 1 ? "" : "s"));
}

Finding mpi_pmix(const SystemFacts& facts) {
  if (!is_slurm_job(facts)) return skipped("not in a SLURM job");
  const auto offered = facts.run({"srun", "--mpi=list"});
  if (!offered || offered->code != 0) return skipped("srun does not list what it speaks");
  const auto components = facts.run({"ompi_info", "--parsable"});
  const bool speaks = !components || components->code != 0 || line_with(components->text, "mca:pmix:ext").has_value() ||
                      line_with(components->text, "mca:pmix:pmix").has_value();
  const bool offers = line_with(offered->text, "pmix").has_value();
  if (offers && speaks) return good("SLURM and MPI speak PMIx");
  return warned(offers ? "MPI was built without PMIx" : "SLURM was built without PMIx");
}

Finding mpi_threads(const SystemFacts& facts) {
  const auto info = facts.run({"ompi_info", "--parsable"});
  const auto line = info ? line_with(info->text, "MPI_THREAD_MULTIPLE") : std::nullopt;
  if (!line) return skipped("ompi_info does not tell");
  const bool has = line->find("MPI_THREAD_MULTIPLE: yes") != std::string::npos;
  return has ? good("MPI_THREAD_MULTIPLE") : failed("an MPI without MPI_THREAD_MULTIPLE");
}

Finding mpi_variables(const SystemFacts& facts) {
  const std::string transports = facts.variable("OMPI_MCA_btl").value_or("");
  const bool lacks_self =
      !transports.empty() && transports.front() != '^' && transports.find("self") == std::string::npos;
  if (lacks_self) return failed(fmt::format("OMPI_MCA_btl={} lacks 'self'", transports));
  if (transports.starts_with('^') && transports.find("vader") != std::string::npos)
    return warned(fmt::format("OMPI_MCA_btl={} excludes shared memory", transports));
  return good("nothing that hinders");
}

Finding mpi_conda(const SystemFacts& facts) {
  for (const std::string& folder : pieces(facts.variable("PATH").value_or(""), ':')) {
    if (folder.find("conda") == std::string::npos && folder.find("/envs/") == std::string::npos) continue;
    const auto names = facts.names(folder);
    if (std::find(names.begin(), names.end(), "mpirun") != names.end()) return warned(folder + "/mpirun");
    return good("none before the system's");
  }
  return good("no conda in PATH");
}

Finding temporary_path(const SystemFacts& facts) {
  const std::string folder = facts.variable("TMPDIR").value_or("/tmp");
  const std::string found = fmt::format("{} ({} characters)", folder, folder.size());
  return folder.size() > kLongestSocketFolder ? failed(found) : good(found);
}

Finding infiniband(const SystemFacts& facts) {
  std::string active;
  for (const std::string& device : facts.names("/sys/class/infiniband"))
    for (const std::string& port : facts.names("/sys/class/infiniband/" + device + "/ports")) {
      const std::string folder = "/sys/class/infiniband/" + device + "/ports/" + port;
      const std::string state = trimmed(facts.file(folder + "/state").value_or(""));
      if (state.find("ACTIVE") == std::string::npos)
        return warned(fmt::format("{} port {} is '{}'", device, port, state));
      active += fmt::format("{}{}: {}", active.empty() ? "" : ", ", device,
                            trimmed(facts.file(folder + "/rate").value_or("active")));
    }
  if (!active.empty()) return good(active);
  return facts.job().hosts > 1 ? warned("none; hosts talk over TCP") : skipped("none, and one host needs none");
}

Finding rank_placement(const SystemFacts& facts) {
  const JobFacts& job = facts.job();
  if (job.fewest_ranks_on_a_node == job.most_ranks_on_a_node)
    return good(fmt::format("{} on each of {} host{}", job.most_ranks_on_a_node, job.hosts, job.hosts == 1 ? "" : "s"));
  return warned(fmt::format("{} to {} ranks on a host", job.fewest_ranks_on_a_node, job.most_ranks_on_a_node));
}

constexpr Check kChecks[]{
    {"mpirun", "mpirun --version", "mpirun in PATH, or srun inside a job",
     "install Open MPI (Debian: openmpi-bin) or load its module", mpirun},
    {"mpi-match", "mpirun --version, the loaded MPI library", "mpirun and library of one version",
     "load one MPI module alone, the one that the program was built with (`module list`, `which mpirun`)", mpi_match},
    {"mpi-library", "the loaded MPI library", "the same MPI on every host",
     "load the same MPI module on all hosts, in the batch script", mpi_library, CheckScope::host,
     Agreement::same_on_hosts},
    {"mpi-one-job", "SLURM_STEP_NUM_TASKS, MPI's size", "one job of as many ranks as srun has started",
     "start with `srun --mpi=pmix`; `srun --mpi=list` shows what SLURM speaks", mpi_one_job, CheckScope::rank},
    {"mpi-pmix", "srun --mpi=list, ompi_info", "PMIx in SLURM and in MPI",
     "use an MPI that was built --with-pmix, or start ranks with mpirun inside the allocation", mpi_pmix},
    {"mpi-threads", "ompi_info", "MPI_THREAD_MULTIPLE", "use an Open MPI or MPICH that was built with thread support",
     mpi_threads},
    {"mpi-variables", "OMPI_MCA_btl", "not set, or with 'self' and shared memory",
     "unset OMPI_MCA_btl, or write it as a list that has self and vader", mpi_variables, CheckScope::rank},
    {"mpi-conda", "PATH", "no mpirun of conda before that of the system",
     "`conda deactivate` before starting, or remove the folder from PATH", mpi_conda},
    {"mpi-temporary-path", "TMPDIR", "a folder with at most 80 characters, for MPI's sockets",
     "export TMPDIR=/tmp in the batch script", temporary_path},
    {"network", "/sys/class/infiniband", "InfiniBand ports that are ACTIVE where hosts are several",
     "tell the administrators which port is down; without InfiniBand prefer a layout that sends less (stage 0 to 2, "
     "zero_optimization.shard_size of one node)",
     infiniband},
    {"rank-placement", "the ranks of each host", "as many ranks on every host",
     "ask for --ntasks-per-node (srun) or host:N (mpirun) alike on all hosts", rank_placement},
};

}  // namespace

std::span<const Check> mpi_checks() { return kChecks; }

}  // namespace ferula
