// Checks of the places that runs write to, and of clocks.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/human.hpp"
#include "doctor/check.hpp"
#include "doctor/facts_text.hpp"

namespace ferula {
namespace {

constexpr double kGibibyte = 0x1p30;
constexpr double kNearQuota = 0.9;
constexpr double kYear2024 = 1704067200.0;

Finding run_directory(const SystemFacts& facts) {
  const std::string problem = facts.write_problem(facts.job().directory);
  return problem.empty() ? good(facts.job().directory) : failed(problem);
}

Finding space_in(const SystemFacts& facts, const std::string& folder, double failing_below, double warning_below) {
  const auto space = facts.free_space(folder);
  if (!space) return failed(fmt::format("{}: no such folder", folder));
  const std::string found = fmt::format("{} free in {}", human_bytes(space->bytes), folder);
  const auto free = static_cast<double>(space->bytes);
  if (free < failing_below) return failed(found);
  return free < warning_below ? warned(found) : good(found);
}

Finding run_space(const SystemFacts& facts) {
  return space_in(facts, facts.job().directory, kGibibyte, 10.0 * kGibibyte);
}

Finding run_inodes(const SystemFacts& facts) {
  const auto space = facts.free_space(facts.job().directory);
  if (!space) return skipped("the system does not tell");
  const std::string found = fmt::format("room for {} files", human_count(static_cast<double>(space->files)));
  return space->files < 10000 ? warned(found) : good(found);
}

/// The mount that holds `path`: a line "device place kind options …" of /proc/self/mounts, the longest place that fits.
std::vector<std::string> mount_of(const SystemFacts& facts, const std::string& path) {
  std::vector<std::string> best;
  for (const std::string& line : pieces(facts.file("/proc/self/mounts").value_or(""), '\n')) {
    std::vector<std::string> words = pieces(line, ' ');
    if (words.size() < 4) continue;
    const bool holds = words[1] == "/" || path == words[1] || path.starts_with(words[1] + "/");
    if (holds && (best.empty() || words[1].size() >= best[1].size())) best = std::move(words);
  }
  return best;
}

bool has_option(const std::vector<std::string>& mount, std::string_view option) {
  const auto options = pieces(mount.at(3), ',');
  return std::find(options.begin(), options.end(), option) != options.end();
}

Finding file_system(const SystemFacts& facts) {
  const auto mount = mount_of(facts, facts.job().directory);
  if (mount.empty()) return skipped("the system does not tell");
  const std::string found = fmt::format("{} at {}", mount[2], mount[1]);
  return mount[2] == "tmpfs" || mount[2] == "ramfs" ? warned(found) : good(found);
}

Finding mount_options(const SystemFacts& facts) {
  const auto mount = mount_of(facts, facts.job().directory);
  if (mount.empty()) return skipped("the system does not tell");
  if (has_option(mount, "ro")) return failed(fmt::format("{} is mounted read-only", mount[1]));
  for (const std::string_view option : {"nolock", "localflock", "noflock", "sync"})
    if (has_option(mount, option)) return warned(fmt::format("{} is mounted with '{}'", mount[1], option));
  return good(mount[3].substr(0, 60));
}

/// Blocks and files of one line "place used quota limit grace files quota limit grace", as `lfs quota` and `quota -p`
/// write it; a star marks what is over its quota.
Finding judged_quota(const std::string& text) {
  std::string words_text = text;
  std::replace(words_text.begin(), words_text.end(), '\n', ' ');
  std::replace(words_text.begin(), words_text.end(), '\t', ' ');
  auto words = pieces(words_text, ' ');
  while (!words.empty() && !words.front().starts_with("/")) words.erase(words.begin());
  if (words.size() < 8) return good("none");
  std::string found;
  bool is_near = false, is_over = false;
  for (const std::size_t column : {1U, 5U}) {
    const double used = first_number(words[column]).value_or(0.0);
    const double soft = first_number(words[column + 1]).value_or(0.0);
    const double limit = soft > 0.0 ? soft : first_number(words[column + 2]).value_or(0.0);
    if (limit <= 0.0) continue;
    found += fmt::format(
        "{}{} of {}", found.empty() ? "" : ", ",
        column == 1 ? human_bytes(static_cast<std::int64_t>(used * 1024.0)) : human_count(used),
        column == 1 ? human_bytes(static_cast<std::int64_t>(limit * 1024.0)) : human_count(limit) + " files");
    is_near = is_near || used > kNearQuota * limit;
    is_over = is_over || used >= limit || words[column].ends_with("*");
  }
  if (found.empty()) return good("none");
  return is_over ? failed(found) : is_near ? warned(found) : good(found);
}

Finding quota(const SystemFacts& facts) {
  const auto mount = mount_of(facts, facts.job().directory);
  if (mount.empty()) return skipped("the system does not tell");
  if (mount[2] != "lustre") {
    const auto told = facts.run({"quota", "-w", "-p", "-f", mount[1]});
    return told ? judged_quota(told->text) : skipped("no quota tools here");
  }
  // Clusters count a project's folder by its group, a home by its user.
  Finding worst = skipped("lfs does not tell");
  for (const auto& [option, name] :
       {std::pair{"-u", facts.variable("USER")}, {"-g", answer_of(facts, {"id", "-gn"})}}) {
    const auto told = name ? facts.run({"lfs", "quota", "-q", option, *name, mount[1]}) : std::nullopt;
    if (!told) continue;
    Finding found = judged_quota(told->text);
    found.found = fmt::format("{}: {}", *name, found.found);
    if (found.verdict > worst.verdict) worst = std::move(found);
  }
  return worst;
}

Finding locks(const SystemFacts& facts) {
  switch (facts.lock_state(facts.job().directory)) {
    case LockAttempt::State::taken:
      return good("work");
    case LockAttempt::State::busy:
      return good("work; somebody else tries them");
    case LockAttempt::State::unsupported:
      break;
  }
  return warned("the file system has none");
}

Finding shared_folder(const SystemFacts& facts) {
  const JobFacts& job = facts.job();
  if (job.hosts == 1) return skipped("one host");
  return job.sees_first_ranks_file ? good("seen")
                                   : failed(fmt::format("{} does not show rank 0's file", job.directory));
}

Finding home(const SystemFacts& facts) {
  const auto folder = facts.variable("HOME");
  return folder ? space_in(facts, *folder, 0x1p26, kGibibyte) : warned("HOME is not set");
}

std::string temporary_folder(const SystemFacts& facts) { return facts.variable("TMPDIR").value_or("/tmp"); }

Finding temporary(const SystemFacts& facts) {
  const std::string problem = facts.write_problem(temporary_folder(facts));
  return problem.empty() ? good(temporary_folder(facts)) : failed(problem);
}

Finding temporary_space(const SystemFacts& facts) {
  return space_in(facts, temporary_folder(facts), 0x1p26, kGibibyte);
}

Finding clock_sane(const SystemFacts& facts) {
  return facts.now_s() < kYear2024 ? failed("a date before 2024") : good("after 2024");
}

Finding clock_synchronised(const SystemFacts& facts) {
  if (const auto answer = answer_of(facts, {"timedatectl", "show", "-p", "NTPSynchronized", "--value"}))
    return *answer == "yes" ? good("by systemd") : warned("not synchronised");
  const auto tracking = facts.run({"chronyc", "tracking"});
  if (!tracking || tracking->code != 0) return skipped("nothing here tells");
  return line_with(tracking->text, "Not synchronised") ? warned("not synchronised") : good("by chrony");
}

Finding clock_offset(const SystemFacts& facts) {
  if (facts.job().hosts == 1) return skipped("one host");
  const double offset = std::abs(facts.job().clock_offset_s);
  const std::string found = fmt::format("{:.2f} s from rank 0", offset);
  return offset > 1.0 ? warned(found) : good(found);
}

Finding clock_source(const SystemFacts& facts) {
  const auto source = facts.file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  if (!source) return skipped("the system does not tell");
  const std::string name = trimmed(*source);
  return name == "hpet" || name == "acpi_pm" || name == "jiffies" ? warned(name) : good(name);
}

constexpr Check kFiles[]{
    {"run-directory", "a file in the directory of runs", "to write, sync, rename and remove a file",
     "choose a place that is yours with [run] output_dir, and check it with --directory", run_directory},
    {"run-space", "the directory of runs", "10 GiB free, 1 GiB at least",
     "remove old checkpoints ([checkpoint] keep_last), or write elsewhere", run_space},
    {"run-inodes", "the directory of runs", "room for 10,000 files",
     "remove many small files (environments, caches), or pack them", run_inodes},
    {"run-quota", "lfs quota, quota", "a tenth of the quota left",
     "remove what is not needed, or ask for more; `lfs quota -u $USER DIR` shows the account", quota},
    {"file-system", "/proc/self/mounts", "a file system that keeps its files",
     "do not write runs into memory: they are gone with the host; set [run] output_dir", file_system},
    {"mount-options", "/proc/self/mounts", "mounted for writing, with locks, without sync",
     "write to another file system, or ask the administrators to mount it with flock", mount_options},
    {"file-locks", "a lock in the directory of runs", "locks, which keep a second job off a run",
     "see to it yourself that no two jobs train one run, or write to a file system with locks", locks},
    {"shared-directory", "a file that rank 0 has written", "a directory that all hosts share",
     "write runs to the cluster's parallel file system, not to a local disk ([run] output_dir)", shared_folder},
    {"home", "HOME", "1 GiB free", "move caches and environments out of the home directory", home},
    {"temporary-directory", "TMPDIR, /tmp", "to write, sync, rename and remove a file",
     "export TMPDIR=/tmp, or another folder that exists and is yours", temporary},
    {"temporary-space", "TMPDIR, /tmp", "1 GiB free, 64 MiB at least",
     "remove what is yours in it, or set TMPDIR to a larger place on the local disk", temporary_space},
};

constexpr Check kClock[]{
    {"clock", "the system's clock", "a date after 2024", "ask the administrators to set the clock", clock_sane},
    {"clock-synchronised", "timedatectl, chronyc", "a clock that follows a time server",
     "ask the administrators to start chronyd: MUNGE and with it SLURM refuse clocks that differ", clock_synchronised},
    {"clock-offset", "the ranks' clocks", "at most a second between hosts",
     "tell the administrators which host is off; its logs and file times are wrong", clock_offset},
    {"clock-source", "/sys/devices/system/clocksource", "a fast clock (tsc, kvm-clock)",
     "ask the administrators why the processor's clock was given up (`dmesg | grep -i tsc`)", clock_source},
};

}  // namespace

std::span<const Check> file_checks() { return kFiles; }
std::span<const Check> clock_checks() { return kClock; }

}  // namespace ferula
