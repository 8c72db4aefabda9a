// Checks of processors: how many a rank may use, who else uses them, and whether they are slowed down.
#include "base/error.hpp"
#include "doctor/check.hpp"
#include "doctor/facts_text.hpp"

namespace ferula {
namespace {

constexpr double kBusyShare = 1.25;  // of the load that the processors carry

Finding allowed_processors(const SystemFacts& facts) {
  const auto list = value_of(facts.file("/proc/self/status").value_or(""), "Cpus_allowed_list");
  if (!list) return skipped("the system does not tell");
  const int online = count_in_list(facts.file("/sys/devices/system/cpu/online").value_or(*list));
  const int allowed = facts.job().processors_on_node;
  const std::string found = fmt::format("{} of {} may be used", allowed, online);
  const bool is_pinned = allowed == 1 && online > 1 && facts.job().ranks_on_node == 1;
  return is_pinned ? warned(found + ": the rank is bound to one") : good(found);
}

Finding oversubscription(const SystemFacts& facts) {
  const JobFacts& job = facts.job();
  const std::string found = fmt::format("{} ranks on {} processors", job.ranks_on_node, job.processors_on_node);
  return job.ranks_on_node > job.processors_on_node ? warned(found) : good(found);
}

/// Ranks that share all of what the host offers divide it among them; it is bindings that overlap in part that hurt.
Finding binding(const SystemFacts& facts) {
  const JobFacts& job = facts.job();
  const bool is_bound = job.processors < job.processors_on_node;
  if (is_bound && job.most_sharers > 1)
    return warned(fmt::format("bound to {} processors, one of which {} ranks use", job.processors, job.most_sharers));
  return good(is_bound ? fmt::format("{} processors of its own", job.processors) : "shares the host's processors");
}

Finding threads(const SystemFacts& facts) {
  const auto wanted = first_number(facts.variable("OMP_NUM_THREADS").value_or(""));
  if (!wanted) return good("chosen by the program");
  const std::string found = fmt::format("OMP_NUM_THREADS={:.0f} for {} processors", *wanted, facts.job().processors);
  return *wanted > facts.job().processors ? warned(found) : good(found);
}

Finding load(const SystemFacts& facts) {
  const auto average = number_in_file(facts, "/proc/loadavg");
  if (!average) return skipped("the system does not tell");
  const int online = count_in_list(facts.file("/sys/devices/system/cpu/online").value_or("0"));
  const std::string found = fmt::format("{:.1f} running on {} processors", *average, online);
  return *average > kBusyShare * online ? warned(found) : good(found);
}

/// Processors' time that one control group grants; absent where it does not limit it.
std::optional<double> quota_of(const SystemFacts& facts, const std::string& folder) {
  const std::string text = facts.file(folder + "/cpu.max").value_or("max");
  const auto words = pieces(text, ' ');
  if (words.size() == 2 && words[0] != "max")
    return first_number(words[0]).value_or(0.0) / first_number(words[1]).value_or(1.0);
  const std::string old = facts.file(folder + "/cpu.cfs_quota_us").value_or("-1");
  if (old.starts_with("-")) return std::nullopt;
  return first_number(old).value_or(0.0) / number_in_file(facts, folder + "/cpu.cfs_period_us").value_or(100000.0);
}

Finding quota(const SystemFacts& facts) {
  for (const std::string& folder : group_folders(facts, "cpu"))
    if (const auto limit = quota_of(facts, folder); limit && *limit < facts.job().processors_on_node)
      return warned(fmt::format("{:.1f} processors' time for {} processors", *limit, facts.job().processors_on_node));
  return good("none below the processors");
}

Finding governor(const SystemFacts& facts) {
  const auto name = facts.file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  if (!name) return skipped("the system does not tell");
  return trimmed(*name) == "powersave" ? warned("powersave") : good(trimmed(*name));
}

Finding heat(const SystemFacts& facts) {
  double throttled = 0.0;
  bool is_told = false;
  for (const std::string& name : facts.names("/sys/devices/system/cpu")) {
    const auto count =
        number_in_file(facts, fmt::format("/sys/devices/system/cpu/{}/thermal_throttle/package_throttle_count", name));
    if (!count) continue;
    is_told = true;
    throttled += *count;
  }
  if (!is_told) return skipped("the system does not tell");
  return throttled > 0.0 ? warned(fmt::format("slowed down {:.0f} times since the start", throttled)) : good("never");
}

Finding numa_reclaim(const SystemFacts& facts) {
  const auto mode = number_in_file(facts, "/proc/sys/vm/zone_reclaim_mode");
  if (!mode) return skipped("the system does not tell");
  return *mode != 0.0 ? warned(fmt::format("zone_reclaim_mode {:.0f}", *mode)) : good("off");
}

constexpr Check kChecks[]{
    {"processors", "/proc/self/status, /sys/devices/system/cpu/online",
     "more than one processor for a rank that is alone",
     "mpirun --bind-to none, or srun --cpus-per-task=N (and export SRUN_CPUS_PER_TASK)", allowed_processors},
    {"oversubscription", "the ranks of the host and their processors", "at least one processor a rank",
     "start fewer ranks, or ask for more with --cpus-per-task", oversubscription},
    {"binding", "the ranks' processors", "ranks bound to different processors, or not at all",
     "mpirun --bind-to none, or srun --cpu-bind=cores with --cpus-per-task", binding, CheckScope::rank},
    {"threads", "OMP_NUM_THREADS", "at most as many threads as processors",
     "unset OMP_NUM_THREADS: each rank takes its share by itself", threads, CheckScope::rank},
    {"load", "/proc/loadavg", "not more running than there are processors",
     "see who computes here (`top`); in a job take nodes for yourself with --exclusive", load},
    {"processor-quota", "the control group's cpu.max, cpu.cfs_quota_us",
     "no quota below the processors that may be used", "ask for more processors, or set OMP_NUM_THREADS to the quota",
     quota},
    {"governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "another one than powersave",
     "ask the administrators for `cpupower frequency-set -g performance`", governor},
    {"processor-heat", "/sys/devices/system/cpu/*/thermal_throttle", "never slowed down by heat",
     "tell the administrators: the cooling of this host does not suffice", heat},
    {"numa-reclaim", "/proc/sys/vm/zone_reclaim_mode", "0",
     "ask the administrators for `sysctl vm.zone_reclaim_mode=0`", numa_reclaim},
};

}  // namespace

std::span<const Check> processor_checks() { return kChecks; }

}  // namespace ferula
