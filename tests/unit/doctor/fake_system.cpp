#include "fake_system.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <stdexcept>

namespace ferula {
namespace {

constexpr const char* kLimits =
    "Limit                     Soft Limit           Hard Limit           Units\n"
    "Max cpu time              unlimited            unlimited            seconds\n"
    "Max file size             unlimited            unlimited            bytes\n"
    "Max data size             unlimited            unlimited            bytes\n"
    "Max stack size            8388608              unlimited            bytes\n"
    "Max processes             96364                96364                processes\n"
    "Max open files            65536                65536                files\n"
    "Max locked memory         unlimited            unlimited            bytes\n"
    "Max address space         unlimited            unlimited            bytes\n";

std::map<std::string, std::string> healthy_files() {
  return {
      {"/etc/slurm/slurm.conf", "ClusterName=test\n"},
      {"/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse2 avx avx2 fma\n"},
      {"/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15\n"},
      {"/proc/loadavg", "3.20 3.10 3.00 4/900 1234\n"},
      {"/proc/meminfo",
       "MemTotal: 528000000 kB\nMemAvailable: 500000000 kB\nSwapTotal: 4000000 kB\nSwapFree: 4000000 kB\n"},
      {"/proc/self/limits", kLimits},
      {"/proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\nmds@tcp:/data /lustreFS lustre rw,flock 0 0\n"},
      {"/proc/self/status", "Name:\tferula\nCpus_allowed_list:\t0-31\n"},
      {"/proc/sys/vm/overcommit_memory", "0\n"},
      {"/proc/sys/vm/zone_reclaim_mode", "0\n"},
      {"/sys/class/infiniband/mlx5_0/ports/1/rate", "100 Gb/sec (4X EDR)\n"},
      {"/sys/class/infiniband/mlx5_0/ports/1/state", "4: ACTIVE\n"},
      {"/sys/class/net/ib0/address", "00\n"},
      {"/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"},
      {"/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"},
      {"/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "0\n"},
      {"/sys/devices/system/cpu/online", "0-31\n"},
      {"/sys/devices/system/edac/mc/mc0/ce_count", "3\n"},
      {"/sys/devices/system/edac/mc/mc0/ue_count", "0\n"},
      {"/proc/self/cgroup", "0::/slurm/job_7\n"},
      {"/sys/fs/cgroup/slurm/job_7/cpu.max", "max 100000\n"},
      {"/sys/fs/cgroup/slurm/job_7/memory.max", "max\n"},
      {"/sys/fs/cgroup/slurm/job_7/pids.current", "200\n"},
      {"/sys/fs/cgroup/slurm/job_7/pids.max", "65536\n"},
      {"/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"},
      {"/opt/nccl/lib/libnccl.so.2.21.5", ""},
      {"/usr/bin/mpirun", ""},
  };
}

std::map<std::string, CommandResult> healthy_commands() {
  return {
      {"mpirun --version", {0, "mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/\n"}},
      {"srun --mpi=list", {0, "MPI plugin types are...\n\tcray_shasta\n\tpmi2\n\tpmix\n\tnone\n"}},
      {"ompi_info --parsable",
       {0, "option:threads:\"posix (MPI_THREAD_MULTIPLE: yes)\"\nmca:pmix:ext3x:version:\"component:4.1.4\"\n"}},
      {"ldd /opt/ferula/bin/libferula_cuda.so", {0, "libcudart.so.13 => /usr/lib/libcudart.so.13 (0x7f)\n"}},
      {"lfs quota -q -u ada /lustreFS",
       {0, "      /lustreFS 5000000  30000000000 31000000000       - 100000  20971520 20971520       -\n"}},
      {"id -gn", {0, "ada\n"}},
      {"stat -c %G /lustreFS/data/grp", {0, "grp\n"}},
      {"lfs project -d /lustreFS/data/grp", {0, " 1001 P /lustreFS/data/grp\n"}},
      {"lfs quota -q -p 1001 /lustreFS", {0, "      /lustreFS 5000000  0 0       - 100000  0 0       -\n"}},
      {"lfs quota -q -g grp /lustreFS",
       {0, "      /lustreFS 5000000  0 30000000000       - 100000  0 20971520       -\n"}},
      {"timedatectl show -p NTPSynchronized --value", {0, "yes\n"}},
      {"squeue -h -j 77 -o %L", {0, "8:00:00\n"}},
      {"scontrol ping", {0, "Slurmctld(primary) at head is UP\n"}},
      {"sinfo -h -N -n gpu01 -o %T", {0, "allocated\n"}},
      {"nvidia-smi -L", {0, "GPU 0: NVIDIA RTX A5000 (UUID: GPU-0)\nGPU 1: NVIDIA RTX A5000 (UUID: GPU-1)\n"}},
      {"nvidia-smi --query-remapped-rows=gpu_uuid,remapped_rows.pending,remapped_rows.failure --format=csv,noheader",
       {0, "GPU-0, 0, 0\nGPU-1, 0, 0\n"}},
      {"nvidia-smi topo -p2p r",
       {0, " \t\x1b[4mGPU0\tGPU1\t\x1b[0m\n GPU0\tX\tOK\t\n GPU1\tOK\tX\t\n\nLegend:\n  OK = Status Ok\n"}},
  };
}

std::map<std::string, std::string> healthy_gpu(const std::string& index) {
  return {{"index", index},
          {"name", "NVIDIA RTX A5000"},
          {"driver_version", "550.54.15"},
          {"compute_cap", "8.6"},
          {"memory.used", "4"},
          {"memory.total", "24564"},
          {"ecc.errors.uncorrected.volatile.total", "0"},
          {"clocks_throttle_reasons.hw_slowdown", "Not Active"},
          {"clocks_throttle_reasons.sw_thermal_slowdown", "Not Active"},
          {"temperature.gpu", "41"},
          {"persistence_mode", "Enabled"},
          {"compute_mode", "Default"},
          {"mig.mode.current", "[N/A]"},
          {"pcie.link.width.current", "16"},
          {"pcie.link.width.max", "16"}};
}

JobFacts healthy_job() {
  return {.program = "0.1.0 (abc)",
          .host = "gpu01",
          .mpi_library = "Open MPI v4.1.4, package: Debian OpenMPI",
          .cuda_library = "/opt/ferula/bin/libferula_cuda.so",
          .directory = "/lustreFS/data/grp",
          .ranks = 4,
          .ranks_on_node = 2,
          .fewest_ranks_on_a_node = 2,
          .most_ranks_on_a_node = 2,
          .hosts = 2,
          .is_launched = true,
          .processors = 16,
          .processors_on_node = 32,
          .most_sharers = 1,
          .will_write = StorageNeed{.whole = {.bytes = 3 << 20, .files = 30}, .least = {.bytes = 1 << 20, .files = 10}},
          .home_place = "/home",
          .work_place = "/lustreFS/data",
          .compute_gigaflops = {900.0, 910.0},
          .memory_gigabytes = {40.0, 41.0},
          .disk_megabytes = {400.0, 410.0},
          .link_gigabytes = {9.0, 9.5},
          .latency_microseconds = {12.0, 12.0}};
}

}  // namespace

FakeSystem FakeSystem::healthy() {
  constexpr std::int64_t kTerabyte = std::int64_t{1} << 40;
  FakeSystem system;
  system.files = healthy_files();
  system.commands = healthy_commands();
  system.gpus = {healthy_gpu("0"), healthy_gpu("1")};
  system.variables = {{"USER", "ada"},
                      {"HOME", "/home/ada"},
                      {"PATH", "/usr/bin:/bin"},
                      {"LD_LIBRARY_PATH", "/opt/nccl/lib"},
                      {"LOADEDMODULES", "GCC/12:OpenMPI/4.1.4"},
                      {"CUDA_VISIBLE_DEVICES", "0,1"},
                      {"NCCL_SOCKET_IFNAME", "ib0"},
                      {"OMP_NUM_THREADS", "16"},
                      {"SLURM_JOB_ID", "77"},
                      {"SLURM_STEP_ID", "0"},
                      {"SLURM_PROCID", "0"},
                      {"SLURM_STEP_NUM_TASKS", "4"},
                      {"SLURM_NTASKS", "4"},
                      {"SLURM_NTASKS_PER_NODE", "2"},
                      {"SLURM_GPUS_ON_NODE", "2"},
                      {"SLURM_CPUS_PER_TASK", "16"},
                      {"SLURM_JOB_END_TIME", "1750030000"},
                      {"SLURMD_NODENAME", "gpu01"}};
  for (const char* folder : {"/dev/shm", "/lustreFS/data/grp", "/home/ada", "/tmp"})
    system.space[folder] = {.bytes = kTerabyte, .files = 1 << 30};
  system.facts = healthy_job();
  return system;
}

std::optional<std::string> FakeSystem::file(const std::string& path) const {
  const auto found = files.find(path);
  return found == files.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> FakeSystem::names(const std::string& directory) const {
  std::set<std::string> names;
  for (const auto& [path, content] : files) {
    if (!path.starts_with(directory + "/")) continue;
    const std::string rest = path.substr(directory.size() + 1);
    names.insert(rest.substr(0, rest.find('/')));
  }
  return {names.begin(), names.end()};
}

std::optional<std::string> FakeSystem::variable(const std::string& name) const {
  const auto found = variables.find(name);
  return found == variables.end() ? std::nullopt : std::optional(found->second);
}

std::optional<CommandResult> FakeSystem::run(const std::vector<std::string>& words) const {
  const std::string query = "--query-gpu=";
  const auto found = commands.find(fmt::format("{}", fmt::join(words, " ")));
  if (found != commands.end()) return found->second;
  if (words.size() < 2 || !words[1].starts_with(query)) return std::nullopt;
  CommandResult result;
  for (const auto& gpu : gpus) {
    std::string row, fields = words[1].substr(query.size()) + ",";
    for (std::size_t end = fields.find(','); end != std::string::npos; end = fields.find(',')) {
      row += (row.empty() ? "" : ", ") + gpu.at(fields.substr(0, end));
      fields.erase(0, end + 1);
    }
    result.text += row + "\n";
  }
  return result;
}

std::optional<FreeSpace> FakeSystem::free_space(const std::string& directory) const {
  const auto found = space.find(directory);
  return found == space.end() ? std::nullopt : std::optional(found->second);
}

std::string FakeSystem::write_problem(const std::string& directory) const {
  const auto found = write_problems.find(directory);
  return found == write_problems.end() ? "" : found->second;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos) throw std::logic_error("nothing to replace: " + from);
  return text.replace(at, from.size(), to);
}

}  // namespace ferula
