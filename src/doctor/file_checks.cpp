// Checks of the places that runs write to, and of clocks.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/human.hpp"
#include "doctor/check.hpp"
#include "doctor/facts_text.hpp"
#include "doctor/storage_room.hpp"

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

/// "29.3 TiB of 30.0 TiB, 1.00M of 21.0M files".
std::string in_words(const QuotaAccount& account) {
  std::string text;
  if (account.limit_bytes > 0.0)
    text = fmt::format("{} of {}", human_bytes(static_cast<std::int64_t>(account.used_bytes)),
                       human_bytes(static_cast<std::int64_t>(account.limit_bytes)));
  if (account.limit_files > 0.0)
    text += fmt::format("{}{} of {} files", text.empty() ? "" : ", ", human_count(account.used_files),
                        human_count(account.limit_files));
  return fmt::format("{}: {}", account.whose, text);
}

Finding judged(const QuotaAccount& account) {
  if (account.is_over) return failed(in_words(account));
  const bool is_near = account.used_bytes > kNearQuota * account.limit_bytes && account.limit_bytes > 0.0;
  const bool has_many = account.used_files > kNearQuota * account.limit_files && account.limit_files > 0.0;
  return is_near || has_many ? warned(in_words(account)) : good(in_words(account));
}

Finding quota(const SystemFacts& facts) {
  const auto accounts = quotas_below(facts, facts.job().directory);
  if (!accounts) return skipped("no quota tool here tells");
  Finding worst = good("none");
  for (const QuotaAccount& account : *accounts)
    if (Finding found = judged(account); found.verdict > worst.verdict || worst.found == "none")
      worst = std::move(found);
  return worst;
}

/// What the run of the given configuration will write, against disk and quota.
Finding run_forecast(const SystemFacts& facts) {
  const auto& need = facts.job().will_write;
  if (!need) return skipped("no configuration given");
  const auto room = storage_room(facts, facts.job().directory);
  if (!room) return skipped("the system does not tell");
  const std::string found = fmt::format(
      "up to {} in {} files, one checkpoint {}; room for {} ({}) and {} files ({})", human_bytes(need->whole.bytes),
      need->whole.files, human_bytes(need->least.bytes), human_bytes(room->free.bytes), room->bytes_limit,
      human_count(static_cast<double>(room->free.files)), room->files_limit);
  if (room->free.bytes < need->least.bytes || room->free.files < need->least.files) return failed(found);
  const bool is_tight = room->free.bytes < need->whole.bytes || room->free.files < need->whole.files;
  return is_tight ? warned(found) : good(found);
}

/// Where the cluster's profile says that work belongs.
Finding run_place(const SystemFacts& facts) {
  const JobFacts& job = facts.job();
  if (job.home_place.empty()) return skipped("no cluster profile; FERULA_SLURM__PROFILE names one");
  if (!job.directory.starts_with(job.home_place + "/")) return good(job.directory);
  return warned(fmt::format("{} lies under {}, which is for settings only; work belongs under {}", job.directory,
                            job.home_place, job.work_place));
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
     "remove what is not needed, or ask for more; `lfs quota -u $USER DIR`, `-g` and `-p` show accounts", quota},
    {"run-forecast", "ferula doctor CONFIG.toml", "room for all that the run will write",
     "set [run] output_dir to a larger place, lower [checkpoint] keep_last, or remove old runs", run_forecast},
    {"run-place", "the cluster's profile", "runs outside of the home directory",
     "set [run] output_dir to a folder of your group's work space", run_place},
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
