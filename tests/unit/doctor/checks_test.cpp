// Each check over a healthy machine and over the same one with one planted fault.
#include "doctor/check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "fake_system.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;
using Plant = std::function<void(FakeSystem&)>;

struct PlantedFault {
  std::string_view check;
  Verdict verdict;
  std::string found;  // what the finding says
  Plant plant;
};

Plant file(std::string path, std::string content) {
  return [=](FakeSystem& system) { system.files[path] = content; };
}
Plant no_file(std::string path) {
  return [=](FakeSystem& system) { ASSERT_EQ(system.files.erase(path), 1U) << path; };
}
Plant in_file(std::string path, std::string from, std::string to) {
  return [=](FakeSystem& system) { system.files[path] = replaced(system.files.at(path), from, to); };
}
Plant variable(std::string name, std::string value) {
  return [=](FakeSystem& system) { system.variables[name] = value; };
}
Plant command(std::string words, int code, std::string text) {
  return [=](FakeSystem& system) { system.commands.at(words) = {code, text}; };
}
Plant no_command(std::string words) {
  return [=](FakeSystem& system) { ASSERT_EQ(system.commands.erase(words), 1U) << words; };
}
Plant gpu(std::string field, std::string value) {
  return [=](FakeSystem& system) { system.gpus.at(1).at(field) = value; };
}
Plant space(std::string folder, FreeSpace left) {
  return [=](FakeSystem& system) { system.space.at(folder) = left; };
}
template <class Value>
Plant job(Value JobFacts::*member, Value value) {
  return [=](FakeSystem& system) { system.facts.*member = value; };
}
Plant both(Plant first, Plant second) {
  return [=](FakeSystem& system) { first(system), second(system); };
}
/// A line of /proc/self/limits with another soft limit.
Plant limit(std::string name, std::string soft) {
  return [=](FakeSystem& system) {
    std::string& text = system.files.at("/proc/self/limits");
    const std::size_t at = text.find(name);
    ASSERT_NE(at, std::string::npos) << name;
    text.replace(at + 26, 21, soft + std::string(21 - soft.size(), ' '));
  };
}

const std::string kGroup = "/sys/fs/cgroup/slurm/job_7/";
const char* const kRun = "/lustreFS/data/grp";
const char* const kQuota = "lfs quota -q -u ada /lustreFS";
const char* const kRemapped =
    "nvidia-smi --query-remapped-rows=gpu_uuid,remapped_rows.pending,remapped_rows.failure --format=csv,noheader";
constexpr Verdict kWarning = Verdict::warning, kFailure = Verdict::failure;

std::vector<PlantedFault> faults_of_program() {
  return {
      {"processor-instructions", kWarning, "neither", file("/proc/cpuinfo", "flags : fpu sse2\n")},
      {"cuda-backend", kWarning, "no libferula_cuda.so", job(&JobFacts::cuda_library, std::string())},
      {"cuda-libraries", kFailure, "libnccl.so.2 => not found",
       command("ldd /opt/ferula/bin/libferula_cuda.so", 0, "libnccl.so.2 => not found\n")},
      {"hdf5-variables", kWarning, "HDF5_DRIVER=core", variable("HDF5_DRIVER", "core")},
      {"nccl-library", kFailure, "is no file", variable("FERULA_NCCL_LIBRARY", "/opt/old/libnccl.so.2")},
      {"nccl-library", kWarning, "through the host", variable("FERULA_NCCL_LIBRARY", "none")},
      {"library-path", kWarning, "/opt/gone", variable("LD_LIBRARY_PATH", "/opt/nccl/lib:/opt/gone")},
      {"mpirun", kFailure, "no mpirun",
       both(no_command("mpirun --version"), [](FakeSystem& system) { system.variables.erase("SLURM_JOB_ID"); })},
      {"mpi-match", kFailure, "4.0.5", command("mpirun --version", 0, "mpirun (Open MPI) 4.0.5\n")},
      {"mpi-match", kFailure, "HYDRA", command("mpirun --version", 0, "HYDRA build details: Version 4.1.4\n")},
      {"mpi-one-job", kFailure, "srun started 4 programs", job(&JobFacts::ranks, 1)},
      {"mpi-pmix", kWarning, "SLURM was built without PMIx", command("srun --mpi=list", 0, "\tpmi2\n\tnone\n")},
      {"mpi-pmix", kWarning, "MPI was built without PMIx",
       command("ompi_info --parsable", 0, "mca:pmix:isolated:version:\"component:4.1.4\"\n")},
      {"mpi-threads", kFailure, "without",
       command("ompi_info --parsable", 0, "option:threads:\"posix (MPI_THREAD_MULTIPLE: no)\"\n")},
      {"mpi-variables", kFailure, "lacks 'self'", variable("OMPI_MCA_btl", "tcp,vader")},
      {"mpi-variables", kWarning, "shared memory", variable("OMPI_MCA_btl", "^vader")},
      {"mpi-conda", kWarning, "miniconda3/bin/mpirun",
       both(variable("PATH", "/home/ada/miniconda3/bin:/usr/bin"), file("/home/ada/miniconda3/bin/mpirun", ""))},
      {"mpi-temporary-path", kFailure, "characters", variable("TMPDIR", "/tmp/" + std::string(90, 'x'))},
      {"network", kWarning, "1: DOWN", file("/sys/class/infiniband/mlx5_0/ports/1/state", "1: DOWN\n")},
      {"network", kWarning, "TCP",
       both(no_file("/sys/class/infiniband/mlx5_0/ports/1/state"),
            no_file("/sys/class/infiniband/mlx5_0/ports/1/rate"))},
      {"rank-placement", kWarning, "1 to 2 ranks", job(&JobFacts::fewest_ranks_on_a_node, 1)},
  };
}

std::vector<PlantedFault> faults_of_host() {
  const std::string cpu = "/sys/devices/system/cpu/cpu0/";
  return {
      {"processors", kWarning, "bound to one",
       both(job(&JobFacts::processors_on_node, 1), job(&JobFacts::ranks_on_node, 1))},
      {"oversubscription", kWarning, "40 ranks on 32", job(&JobFacts::ranks_on_node, 40)},
      {"binding", kWarning, "3 ranks use", job(&JobFacts::most_sharers, 3)},
      {"threads", kWarning, "OMP_NUM_THREADS=64", variable("OMP_NUM_THREADS", "64")},
      {"load", kWarning, "90.1", file("/proc/loadavg", "90.1 80 70 4/900 1\n")},
      {"processor-quota", kWarning, "2.0", file(kGroup + "cpu.max", "200000 100000\n")},
      {"processor-quota", kWarning, "1.5 processors",
       both(file("/proc/self/cgroup", "4:cpu,cpuacct:/\n"),
            both(file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n"),
                 file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")))},
      {"governor", kWarning, "powersave", file(cpu + "cpufreq/scaling_governor", "powersave\n")},
      {"processor-heat", kWarning, "12 times", file(cpu + "thermal_throttle/package_throttle_count", "12\n")},
      {"numa-reclaim", kWarning, "1", file("/proc/sys/vm/zone_reclaim_mode", "1\n")},
      {"memory-available", kWarning, "GiB", in_file("/proc/meminfo", "Available: 500000000", "Available: 50000000")},
      {"memory-available", kFailure, "MiB", in_file("/proc/meminfo", "Available: 500000000", "Available: 100000")},
      {"memory-limit", kWarning, "1.50 GiB", file(kGroup + "memory.max", "1610612736\n")},
      {"swap", kWarning, "in use", in_file("/proc/meminfo", "SwapFree: 4000000", "SwapFree: 1000000")},
      {"overcommit", kWarning, "overcommit_memory 2", file("/proc/sys/vm/overcommit_memory", "2\n")},
      {"memory-ecc", kFailure, "1 uncorrected", file("/sys/devices/system/edac/mc/mc0/ue_count", "1\n")},
      {"memory-ecc", kWarning, "5000 corrected", file("/sys/devices/system/edac/mc/mc0/ce_count", "5000\n")},
      {"huge-pages", kWarning, "never",
       file("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n")},
      {"shared-memory", kWarning, "100 MiB", space("/dev/shm", {.bytes = 100 << 20})},
      {"shared-memory", kFailure, "1.00 MiB", space("/dev/shm", {.bytes = 1 << 20})},
      {"shared-memory-leftovers", kWarning, "70 segments",
       [](FakeSystem& system) {
         for (int each = 0; each < 70; ++each) system.files["/dev/shm/vader_segment." + std::to_string(each)] = "";
       }},
      {"limit-open-files", kWarning, "512", limit("Max open files", "512")},
      {"limit-open-files", kFailure, "64", limit("Max open files", "64")},
      {"limit-processes", kFailure, "100", limit("Max processes", "100")},
      {"limit-stack", kFailure, "64.0 KiB", limit("Max stack size", "65536")},
      {"limit-address-space", kWarning, "16.0 GiB", limit("Max address space", "17179869184")},
      {"limit-file-size", kFailure, "1.00 MiB", limit("Max file size", "1048576")},
      {"limit-data-size", kFailure, "1.00 MiB", limit("Max data size", "1048576")},
      {"limit-processor-time", kWarning, "3600", limit("Max cpu time", "3600")},
      {"limit-locked-memory", kFailure, "64.0 KiB", limit("Max locked memory", "65536")},
      {"limit-threads", kWarning, "1000 of 1024",
       both(file(kGroup + "pids.max", "1024\n"), file(kGroup + "pids.current", "1000\n"))},
      {"clock", kFailure, "before 2024", [](FakeSystem& system) { system.now = 3.0; }},
      {"clock-synchronised", kWarning, "not", command("timedatectl show -p NTPSynchronized --value", 0, "no\n")},
      {"clock-offset", kWarning, "7.00 s", job(&JobFacts::clock_offset_s, -7.0)},
      {"clock-source", kWarning, "hpet",
       file("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n")},
  };
}

std::vector<PlantedFault> faults_of_files() {
  return {
      {"run-directory", kFailure, "Permission denied",
       [](FakeSystem& system) { system.write_problems[kRun] = "Permission denied"; }},
      {"run-space", kFailure, "100 MiB", space(kRun, {.bytes = 100 << 20, .files = 1 << 20})},
      {"run-space", kWarning, "2.00 GiB", space(kRun, {.bytes = std::int64_t{2} << 30, .files = 1 << 20})},
      {"run-inodes", kWarning, "500 files", space(kRun, {.bytes = std::int64_t{1} << 40, .files = 500})},
      {"run-quota", kFailure, "29.3 TiB",
       command(kQuota, 0, "/lustreFS 31500000000* 30000000000 31000000000 6d 100 20971520 20971520 -\n")},
      {"run-quota", kWarning, "20.0M of 21.0M files",
       command(kQuota, 0, "/lustreFS 50 30000000000 31000000000 - 20000000 20971520 20971520 -\n")},
      {"run-quota", kFailure, "project 1001: 9.00 KiB",
       command("lfs quota -q -p 1001 /lustreFS", 0, "/lustreFS\n  9 0 30000000000 - 30000000000* 0 20971520 -\n")},
      {"run-quota", kFailure, "grp: 9.00 KiB",
       command("lfs quota -q -g grp /lustreFS", 0, "/lustreFS 9 0 30000000000 - 30000000000* 0 20971520 -\n")},
      {"run-forecast", kWarning, "room for 2.00 MiB (the file system)",
       space(kRun, {.bytes = 2 << 20, .files = 1 << 20})},
      {"run-forecast", kFailure, "and 9 files", space(kRun, {.bytes = std::int64_t{1} << 40, .files = 9})},
      {"run-forecast", kFailure, "room for 1.00 KiB (the quota of user ada)",
       command(kQuota, 0, "/lustreFS 29999999999 30000000000 31000000000 - 100 20971520 20971520 -\n")},
      {"run-place", kWarning, "under /home", job(&JobFacts::directory, std::string("/home/ada/runs"))},
      {"file-system", kWarning, "tmpfs", file("/proc/self/mounts", "tmpfs /lustreFS tmpfs rw 0 0\n")},
      {"mount-options", kFailure, "read-only", in_file("/proc/self/mounts", "rw,flock", "ro,flock")},
      {"mount-options", kWarning, "localflock", in_file("/proc/self/mounts", "rw,flock", "rw,localflock")},
      {"file-locks", kWarning, "none", [](FakeSystem& system) { system.lock = LockAttempt::State::unsupported; }},
      {"shared-directory", kFailure, "does not show", job(&JobFacts::sees_first_ranks_file, false)},
      {"home", kWarning, "500 MiB", space("/home/ada", {.bytes = 500 << 20})},
      {"temporary-directory", kFailure, "read-only",
       [](FakeSystem& system) { system.write_problems["/tmp"] = "read-only file system"; }},
      {"temporary-space", kFailure, "1.00 MiB", space("/tmp", {.bytes = 1 << 20})},
      {"slurm-reachable", kFailure, "DOWN", command("scontrol ping", 1, "Slurmctld(primary) at head is DOWN\n")},
      {"slurm-job", kWarning, "login", [](FakeSystem& system) { system.variables.erase("SLURM_JOB_ID"); }},
      {"slurm-time", kWarning, "1:40", variable("SLURM_JOB_END_TIME", "1750000100")},
      {"slurm-time", kWarning, "5:00",
       both([](FakeSystem& system) { system.variables.erase("SLURM_JOB_END_TIME"); },
            command("squeue -h -j 77 -o %L", 0, "5:00\n"))},
      {"slurm-tasks", kWarning, "4 ranks, 8 tasks", variable("SLURM_NTASKS", "8")},
      {"slurm-processors", kWarning, "=16, 1 for", job(&JobFacts::processors, 1)},
      {"slurm-gpus", kWarning, "4 GPUs and 2 tasks", variable("SLURM_GPUS_ON_NODE", "4")},
      {"slurm-node", kWarning, "draining", command("sinfo -h -N -n gpu01 -o %T", 0, "draining\n")},
      {"speed-compute", kWarning, "median rank has 910", job(&JobFacts::compute_gigaflops, Rate{300.0, 910.0})},
      {"speed-compute", kWarning, "2 GFLOP/s", job(&JobFacts::compute_gigaflops, Rate{2.0, 2.0})},
      {"speed-memory", kWarning, "median", job(&JobFacts::memory_gigabytes, Rate{10.0, 41.0})},
      {"speed-disk", kWarning, "3 MB/s", job(&JobFacts::disk_megabytes, Rate{3.0, 3.0})},
      {"speed-link", kWarning, "0.1 GB/s", job(&JobFacts::link_gigabytes, Rate{0.1, 9.0})},
      {"speed-latency", kWarning, "9000", job(&JobFacts::latency_microseconds, Rate{9000.0, 9000.0})},
  };
}

std::vector<PlantedFault> faults_of_gpus() {
  return {
      {"gpu-driver", kFailure, "version mismatch",
       command("nvidia-smi -L", 18, "Failed to initialize NVML: Driver/library version mismatch\n")},
      {"gpu-driver", kFailure, "shows no driver", no_file("/proc/driver/nvidia/version")},
      {"gpu-driver-version", kFailure, "470.1", [](FakeSystem& system) { system.gpus[0]["driver_version"] = "470.1"; }},
      {"gpu-model", kWarning, "RTX 6000", gpu("name", "NVIDIA RTX 6000 Ada")},
      {"gpu-capability", kFailure, "GPU 1: compute capability 7.5", gpu("compute_cap", "7.5")},
      {"gpu-memory", kWarning, "GPU 1: 20000 of 24564", gpu("memory.used", "20000")},
      {"gpu-ecc", kFailure, "GPU 1: 2 uncorrected", gpu("ecc.errors.uncorrected.volatile.total", "2")},
      {"gpu-remapped-rows", kWarning, "GPU-1: remapping is pending",
       command(kRemapped, 0, "GPU-0, 0, 0\nGPU-1, 1, 0\n")},
      {"gpu-remapped-rows", kFailure, "GPU-0: remapping failed", command(kRemapped, 0, "GPU-0, No, Yes\n")},
      {"gpu-throttling", kWarning, "hardware", gpu("clocks_throttle_reasons.hw_slowdown", "Active")},
      {"gpu-throttling", kWarning, "heat", gpu("clocks_throttle_reasons.sw_thermal_slowdown", "Active")},
      {"gpu-temperature", kWarning, "91", gpu("temperature.gpu", "91")},
      {"gpu-persistence", kWarning, "off", gpu("persistence_mode", "Disabled")},
      {"gpu-compute-mode", kFailure, "Prohibited", gpu("compute_mode", "Prohibited")},
      {"gpu-mig", kWarning, "MIG", gpu("mig.mode.current", "Enabled")},
      {"gpu-pcie", kWarning, "x4 of x16", gpu("pcie.link.width.current", "4")},
      {"gpu-links", kWarning, "GPU0 and GPU1",
       command("nvidia-smi topo -p2p r", 0, " \tGPU0\tGPU1\t\n GPU0\tX\tCNS\t\n GPU1\tCNS\tX\t\n")},
      {"gpu-per-rank", kWarning, "3 ranks on 2 GPUs", job(&JobFacts::ranks_on_node, 3)},
      {"gpu-visible", kFailure, "of 2 GPUs", variable("CUDA_VISIBLE_DEVICES", "0,5")},
      {"gpu-visible", kWarning, "hides every GPU", variable("CUDA_VISIBLE_DEVICES", "")},
      {"nccl-variables", kWarning, "NCCL_P2P_DISABLE", variable("NCCL_P2P_DISABLE", "1")},
      {"nccl-variables", kFailure, "no such interface", variable("NCCL_SOCKET_IFNAME", "eth7")},
      {"nccl-version", kWarning, "none found", variable("LD_LIBRARY_PATH", "")},
  };
}

std::vector<PlantedFault> all_faults() {
  std::vector<PlantedFault> all;
  for (const auto& some : {faults_of_program(), faults_of_host(), faults_of_files(), faults_of_gpus()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

const Check& check_named(std::string_view name) {
  const auto& checks = all_checks();
  const auto found = std::find_if(checks.begin(), checks.end(), [&](const Check& check) { return check.name == name; });
  EXPECT_NE(found, checks.end()) << name;
  return *found;
}

TEST(DoctorChecks, AreWellOnAHealthyMachine) {
  const FakeSystem system = FakeSystem::healthy();

  for (const Check& check : all_checks()) {
    const Finding finding = check.judge(system);
    EXPECT_EQ(finding.verdict, Verdict::ok) << check.name << ": " << finding.found;
  }
}

TEST(DoctorChecks, FindTheirPlantedFault) {
  for (const PlantedFault& fault : all_faults()) {
    FakeSystem system = FakeSystem::healthy();
    fault.plant(system);

    const Finding finding = check_named(fault.check).judge(system);

    EXPECT_EQ(finding.verdict, fault.verdict) << fault.check << ": " << finding.found;
    EXPECT_THAT(finding.found, HasSubstr(fault.found)) << fault.check;
  }
}

/// What is only compared between hosts cannot be wrong on one of them.
TEST(DoctorChecks, HaveEachAPlantedFaultOrAreComparedBetweenHosts) {
  std::set<std::string_view> planted;
  for (const PlantedFault& fault : all_faults()) planted.insert(fault.check);

  std::set<std::string_view> only_compared;
  for (const Check& check : all_checks())
    if (!planted.contains(check.name)) {
      EXPECT_EQ(check.agreement, Agreement::same_on_hosts) << check.name << " has no planted fault";
      only_compared.insert(check.name);
    }
  EXPECT_THAT(only_compared, testing::UnorderedElementsAre("program-version", "modules", "mpi-library"));
}

TEST(DoctorChecks, AreAtLeastFortyWithNamesOfTheirOwnAndSayWhatToDo) {
  std::set<std::string_view> names;
  for (const Check& check : all_checks()) {
    EXPECT_TRUE(names.insert(check.name).second) << check.name << " twice";
    for (const std::string_view text : {check.reads, check.expected, check.remedy})
      EXPECT_FALSE(text.empty()) << check.name;
  }
  EXPECT_GE(names.size(), 40U);
}

/// A machine that tells nothing, as a container without /sys and without tools.
TEST(DoctorChecks, SayWhyTheyCannotTell) {
  FakeSystem nothing;
  nothing.facts = {.program = "0.1.0", .host = "bare", .mpi_library = "Open MPI v4.1.4", .directory = "/runs"};

  for (const Check& check : all_checks()) EXPECT_NE(check.judge(nothing).found, "") << check.name;
}

/// A driver that is there, and an nvidia-smi that is not, or is broken.
TEST(DoctorChecks, OfGpusAreSkippedWhereTheDriverDoesNotTell) {
  FakeSystem mute = FakeSystem::healthy();
  mute.gpus.clear();

  for (const char* name : {"gpu-driver-version", "gpu-model", "gpu-memory", "gpu-visible"})
    EXPECT_EQ(check_named(name).judge(mute).verdict, Verdict::skipped) << name;
}

}  // namespace
}  // namespace ferula
