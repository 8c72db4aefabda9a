// Checks of the host's memory, and of the limits that the system puts on a process.
#include <algorithm>

#include "base/error.hpp"
#include "base/human.hpp"
#include "doctor/check.hpp"
#include "doctor/facts_text.hpp"

namespace ferula {
namespace {

constexpr double kKibibyte = 1024.0;
constexpr double kMebibyte = 0x1p20;
constexpr double kGibibyte = 0x1p30;

std::string in_words(double bytes) { return human_bytes(static_cast<std::int64_t>(bytes)); }

std::optional<double> meminfo(const SystemFacts& facts, std::string_view key) {
  const auto value = value_of(facts.file("/proc/meminfo").value_or(""), key);
  const auto kibibytes = value ? first_number(*value) : std::nullopt;
  return kibibytes ? std::optional(*kibibytes * kKibibyte) : std::nullopt;
}

Finding available(const SystemFacts& facts) {
  const auto free = meminfo(facts, "MemAvailable"), all = meminfo(facts, "MemTotal");
  if (!free || !all) return skipped("the system does not tell");
  const std::string found = fmt::format("{} of {} available", in_words(*free), in_words(*all));
  if (*free < 0.5 * kGibibyte) return failed(found);
  return *free < 0.2 * *all ? warned(found) : good(found);
}

Finding group_limit(const SystemFacts& facts) {
  const auto limit = least_in_groups(facts, "memory", {"memory.max", "memory.limit_in_bytes"});
  const auto all = meminfo(facts, "MemTotal");
  if (!limit || !all || *limit >= *all) return good("none below the host's memory");
  const std::string found = fmt::format("{} of the host's {}", in_words(*limit), in_words(*all));
  return *limit < kGibibyte * facts.job().ranks_on_node ? warned(found) : good(found);
}

Finding swap(const SystemFacts& facts) {
  const auto all = meminfo(facts, "SwapTotal"), free = meminfo(facts, "SwapFree");
  if (!all || !free) return skipped("the system does not tell");
  const double used = *all - *free;
  const std::string found = fmt::format("{} in use", in_words(used));
  return used > 0.25 * kGibibyte ? warned(found) : good(found);
}

Finding overcommit(const SystemFacts& facts) {
  const auto mode = number_in_file(facts, "/proc/sys/vm/overcommit_memory");
  if (!mode) return skipped("the system does not tell");
  return *mode == 2.0 ? warned("overcommit_memory 2: address space counts as memory")
                      : good(fmt::format("{:.0f}", *mode));
}

Finding memory_ecc(const SystemFacts& facts) {
  double corrected = 0.0, uncorrected = 0.0;
  const auto controllers = facts.names("/sys/devices/system/edac/mc");
  for (const std::string& name : controllers) {
    corrected += number_in_file(facts, "/sys/devices/system/edac/mc/" + name + "/ce_count").value_or(0.0);
    uncorrected += number_in_file(facts, "/sys/devices/system/edac/mc/" + name + "/ue_count").value_or(0.0);
  }
  if (controllers.empty()) return skipped("the system does not tell");
  const std::string found = fmt::format("{:.0f} uncorrected, {:.0f} corrected", uncorrected, corrected);
  if (uncorrected > 0.0) return failed(found);
  return corrected > 100.0 ? warned(found) : good(found);
}

Finding huge_pages(const SystemFacts& facts) {
  const auto modes = facts.file("/sys/kernel/mm/transparent_hugepage/enabled");
  if (!modes) return skipped("the system does not tell");
  return modes->find("[never]") != std::string::npos ? warned("never") : good(trimmed(*modes));
}

Finding shared_memory(const SystemFacts& facts) {
  const auto space = facts.free_space("/dev/shm");
  if (!space) return failed("no /dev/shm");
  const auto free = static_cast<double>(space->bytes);
  const std::string found = fmt::format("{} free", in_words(free));
  if (free < 64.0 * kMebibyte) return failed(found);
  return free < 512.0 * kMebibyte ? warned(found) : good(found);
}

Finding shared_memory_leftovers(const SystemFacts& facts) {
  const auto names = facts.names("/dev/shm");
  const auto left = std::count_if(names.begin(), names.end(), [](const std::string& name) {
    return name.starts_with("vader_segment") || name.starts_with("nccl-") || name.starts_with("ferula");
  });
  const std::string found = fmt::format("{} segments of MPI and NCCL", left);
  return left > 64 ? warned(found) : good(found);
}

/// The soft limit of a line of /proc/self/limits; infinity where there is none.
std::optional<double> soft_limit(const SystemFacts& facts, std::string_view name) {
  const auto line = value_of(facts.file("/proc/self/limits").value_or(""), name);
  if (!line) return std::nullopt;
  return line->starts_with("unlimited") ? std::optional(1.0 / 0.0) : first_number(*line);
}

struct LimitRule {
  std::string_view name;  // its line in /proc/self/limits
  double failing_below;
  double warning_below;
  bool is_bytes;
};

Finding judged(const SystemFacts& facts, const LimitRule& rule) {
  const auto limit = soft_limit(facts, rule.name);
  if (!limit) return skipped("the system does not tell");
  const bool is_free = *limit > 0x1p60;
  const std::string found = is_free ? "unlimited" : rule.is_bytes ? in_words(*limit) : fmt::format("{:.0f}", *limit);
  if (*limit < rule.failing_below) return failed(found);
  return *limit < rule.warning_below ? warned(found) : good(found);
}

Finding open_files(const SystemFacts& facts) { return judged(facts, {"Max open files", 256, 1024, false}); }
Finding processes(const SystemFacts& facts) { return judged(facts, {"Max processes", 128, 1024, false}); }
Finding stack(const SystemFacts& facts) { return judged(facts, {"Max stack size", 0x1p20, 0x1p22, true}); }
Finding address_space(const SystemFacts& facts) {
  return judged(facts, {"Max address space", 4.0 * kGibibyte, 0x1p60, true});
}
Finding file_size(const SystemFacts& facts) { return judged(facts, {"Max file size", 0x1p26, 0x1p60, true}); }
Finding data_size(const SystemFacts& facts) { return judged(facts, {"Max data size", kGibibyte, 0x1p60, true}); }
Finding processor_time(const SystemFacts& facts) { return judged(facts, {"Max cpu time", 600, 0x1p60, false}); }

/// InfiniBand registers its buffers as locked memory.
Finding locked_memory(const SystemFacts& facts) {
  const bool has_infiniband = !facts.names("/sys/class/infiniband").empty();
  if (has_infiniband) return judged(facts, {"Max locked memory", 0x1p26, 0x1p60, true});
  return judged(facts, {"Max locked memory", 0, 0x1p16, true});
}

/// The control group with the least room for more processes and threads counts.
Finding process_group(const SystemFacts& facts) {
  Finding worst = good("none");
  for (const std::string& folder : group_folders(facts, "pids")) {
    const auto most = number_in_file(facts, folder + "/pids.max");
    if (!most) continue;
    const double now = number_in_file(facts, folder + "/pids.current").value_or(0.0);
    const std::string found = fmt::format("{:.0f} of {:.0f} processes and threads", now, *most);
    if (*most - now < 256.0) return warned(found);
    worst = good(found);
  }
  return worst;
}

constexpr Check kMemory[]{
    {"memory-available", "/proc/meminfo", "a fifth of the memory available, and 512 MiB at least",
     "see who holds it (`ps aux --sort=-rss`); end leftover processes or take another host", available},
    {"memory-limit", "the control group's memory.max", "1 GiB a rank at least",
     "ask for more memory: --mem=0 takes all of a node, --mem-per-gpu a share", group_limit},
    {"swap", "/proc/meminfo", "at most 256 MiB of swap in use",
     "somebody has filled this host's memory: take another one, or ask the administrators to clear it", swap},
    {"overcommit", "/proc/sys/vm/overcommit_memory", "0 or 1",
     "ask the administrators for `sysctl vm.overcommit_memory=0`: CUDA reserves far more addresses than memory",
     overcommit},
    {"memory-ecc", "/sys/devices/system/edac/mc", "no uncorrected and few corrected errors",
     "leave this host (sbatch --exclude) and tell the administrators: its memory is damaged", memory_ecc},
    {"huge-pages", "/sys/kernel/mm/transparent_hugepage/enabled", "always or madvise",
     "ask the administrators for `echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`", huge_pages},
    {"shared-memory", "/dev/shm", "512 MiB free at least",
     "remove what is left in /dev/shm (`ls -l /dev/shm`); in a container start with --shm-size=8g or --ipc=host",
     shared_memory},
    {"shared-memory-leftovers", "/dev/shm", "at most 64 segments of MPI and NCCL",
     "killed jobs have left them: when none of yours runs here, rm /dev/shm/vader_segment.* /dev/shm/nccl-*",
     shared_memory_leftovers},
};

constexpr Check kLimits[]{
    {"limit-open-files", "/proc/self/limits", "1024 at least", "ulimit -n 65536", open_files, CheckScope::rank},
    {"limit-processes", "/proc/self/limits", "1024 at least", "ulimit -u 16384", processes, CheckScope::rank},
    {"limit-stack", "/proc/self/limits", "4 MiB at least", "ulimit -s 8192", stack, CheckScope::rank},
    {"limit-address-space", "/proc/self/limits", "unlimited: CUDA and MPI map far more than they use",
     "ulimit -v unlimited", address_space, CheckScope::rank},
    {"limit-file-size", "/proc/self/limits", "unlimited: a checkpoint's shard is one file", "ulimit -f unlimited",
     file_size, CheckScope::rank},
    {"limit-data-size", "/proc/self/limits", "unlimited", "ulimit -d unlimited", data_size, CheckScope::rank},
    {"limit-processor-time", "/proc/self/limits", "unlimited",
     "ulimit -t unlimited; where that is refused, this is a login node: start in a job", processor_time,
     CheckScope::rank},
    {"limit-locked-memory", "/proc/self/limits", "64 KiB at least; unlimited where there is InfiniBand",
     "ulimit -l unlimited; in SLURM PropagateResourceLimitsExcept=MEMLOCK, by the administrators", locked_memory,
     CheckScope::rank},
    {"limit-threads", "the control group's pids.max", "room for 256 more processes and threads",
     "start fewer ranks, or ask for a larger pids.max of the job or container", process_group},
};

}  // namespace

std::span<const Check> memory_checks() { return kMemory; }
std::span<const Check> limit_checks() { return kLimits; }

}  // namespace ferula
