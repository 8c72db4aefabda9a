#include "app/launch/launcher.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <optional>
#include <system_error>
#include <thread>

#include "app/launch/child_process.hpp"
#include "app/launch/launch_report.hpp"
#include "app/launch/mpirun.hpp"
#include "app/launch/output_relay.hpp"
#include "app/launch/stop_forwarding.hpp"
#include "app/launch/stop_signals.hpp"
#include "base/output.hpp"
#include "base/stopwatch.hpp"
#include "comm/mpi_environment.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kRoomForMpirun = 16 << 20, kRoomForARank = 1 << 20;

/// Open MPI keeps what ranks tell each other in files, and waits for ever for ranks that cannot write there.
void require_room_for_mpirun(int ranks) {
  if (mpi_kind(mpi_library()) != MpiKind::open_mpi) return;
  std::error_code unknown;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(unknown);
  const std::int64_t needed = kRoomForMpirun + ranks * kRoomForARank;
  rlimit longest_file{};
  if (getrlimit(RLIMIT_FSIZE, &longest_file) == 0 && longest_file.rlim_cur < static_cast<rlim_t>(needed))
    throw CapacityError(
        fmt::format("ulimit -f: expected files of {} MiB to be allowed, which mpirun may need, found {} "
                    "KiB; raise the limit",
                    needed >> 20, longest_file.rlim_cur >> 10));
  const std::filesystem::space_info space = std::filesystem::space(folder, unknown);
  if (!unknown && space.available < static_cast<std::uintmax_t>(needed))
    throw CapacityError(
        fmt::format("{}: expected {} MiB free for what mpirun keeps there, found {} KiB; free some, or "
                    "set TMPDIR to another folder",
                    folder.string(), needed >> 20, space.available >> 10));
}

/// A file of its own in the temporary directory, removed at the end.
class ReportFile {
 public:
  ReportFile() {
    std::error_code no_folder;
    path_ = (std::filesystem::temp_directory_path(no_folder) / "ferula-ranks-XXXXXX").string();
    const int descriptor = no_folder ? -1 : mkstemp(path_.data());
    if (descriptor < 0)
      throw DeviceError(
          fmt::format("TMPDIR: expected a folder to write in, for what the ranks report and for mpirun, found: {}; set "
                      "TMPDIR to one, or unset it for /tmp",
                      no_folder ? no_folder.message() : std::generic_category().message(errno)));
    close(descriptor);
  }
  ~ReportFile() { unlink(path_.c_str()); }
  ReportFile(const ReportFile&) = delete;
  ReportFile& operator=(const ReportFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::vector<std::string> mpirun_words(const LaunchRequest& request, const std::string& report) {
  std::vector<std::string> words = mpirun_here(mpi_kind(mpi_library()).value_or(MpiKind::open_mpi), request.ranks);
  words.push_back(std::filesystem::read_symlink("/proc/self/exe").string());
  words.insert(words.end(), request.arguments.begin(), request.arguments.end());
  words.insert(words.end(), {fmt::format("--{}", kLaunchReport.name), report});
  if (request.console == LogConsole::interactive) words.push_back(fmt::format("--{}", kLaunchTerminal.name));
  return words;
}

/// Returns mpirun's wait status.
int wait_for(pid_t mpirun, const sigset_t& signals, StopForwarding& stop) {
  const timespec pause{.tv_sec = 0, .tv_nsec = 100'000'000};
  const Stopwatch clock;
  const auto pass_on = [&](std::optional<int> signal) {
    if (signal) kill(mpirun, *signal);
  };
  for (;;) {
    const int signal = sigtimedwait(&signals, nullptr, &pause);
    if (signal > 0 && signal != SIGCHLD) pass_on(stop.accept(signal, clock.seconds()));
    pass_on(stop.due(clock.seconds()));
    int status = 0;
    if (waitpid(mpirun, &status, WNOHANG) == mpirun) return status;
  }
}

std::string ending_of(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("mpirun was ended by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  const int code = WEXITSTATUS(status);
  const char* const signal = code > 128 ? sigdescr_np(code - 128) : nullptr;  // null where there is no such signal
  return signal == nullptr ? fmt::format("mpirun ended with {}", code)
                           : fmt::format("a rank was ended by signal {} ({})", code - 128, signal);
}

ExitCode verdict_of(const LaunchRequest& request, const LaunchReport& report, const StopForwarding& stop, int status) {
  if (stop.at_once()) return stop.interrupted() ? ExitCode::interrupted : ExitCode::failed;
  if (report.error) return *report.error;
  if (report.ended == request.ranks)
    return report.success == ExitCode::resume_me && stop.interrupted() ? ExitCode::interrupted : report.success;
  if (const std::string problem = mpirun_problem(mpi_library()); !problem.empty()) throw DeviceError(problem);
  throw DeviceError(fmt::format(
      "expected {} ranks to end with a word, heard from {}: {}. Signal 9 mostly means that memory ran out (`dmesg` "
      "tells); otherwise start the ranks with mpirun or srun yourself to see what it says: mpirun -n {} ferula …",
      request.ranks, report.ended, ending_of(status), request.ranks));
}

/// Ranks that have ended.
struct Ending {
  ExitCode verdict = ExitCode::done;
  int output_problem = 0;  // of errno, where not all of their output was written
};

Ending run_ranks(const LaunchRequest& request) {
  const BlockedSignals signals = is_ignored(SIGHUP) ? BlockedSignals({SIGINT, SIGTERM, SIGUSR1, SIGCHLD})
                                                    : BlockedSignals({SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD});
  const ReportFile report;
  require_room_for_mpirun(request.ranks);
  std::optional<OutputRelay> relay;  // not on a terminal
  if (request.console == LogConsole::plain) relay.emplace();
  const pid_t mpirun = start_child(mpirun_words(request, report.path()), signals,
                                   "install Open MPI (Debian: openmpi-bin) or load its module, or start the ranks with "
                                   "srun",
                                   relay ? std::optional(relay->child_end()) : std::nullopt);
  if (relay) relay->start();
  StopForwarding stop(request.ranks, request.stop, report.path());
  const int status = wait_for(mpirun, signals.set(), stop);
  const int reason = relay ? relay->finish() : 0;
  return {verdict_of(request, read_launch_report(report.path()), stop, status), reason};
}

}  // namespace

ExitCode launch_ranks(const LaunchRequest& request) {
  const Ending ending = run_ranks(request);
  const bool needs_output = request.stop == CommandStop::ends;  // a run goes on without it
  if (needs_output && ending.verdict == ExitCode::done) check_output(ending.output_problem);
  return ending.verdict;
}

}  // namespace ferula
