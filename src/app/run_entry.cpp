#include "app/run_entry.hpp"

#include <fmt/chrono.h>
#include <unistd.h>

#include <chrono>
#include <ctime>

#include "comm/launch_environment.hpp"
#include "comm/simulated_transport.hpp"

namespace ferula {
namespace {

LockAttempt lock_run(FileSystem& files, const RunDirectory& directory) {
  LockAttempt attempt = files.try_lock(directory.lock().string(), this_job());
  if (attempt.state == LockAttempt::State::busy)
    throw DeviceError(
        fmt::format("{}: expected a run that no other job trains, found it in use by {}; wait for that job or stop it, "
                    "or choose another run.name; nothing was changed",
                    directory.root.string(), attempt.note.empty() ? "another process" : attempt.note));
  return attempt;
}

void make_run(FileSystem& files, const std::string& root) {
  try {
    files.make_directory(root);
  } catch (const CapacityError&) {
    throw;
  } catch (const Error& error) {
    throw DeviceError(fmt::format("{}; set [run] output_dir to a folder that you may write to", error.what()));
  }
}

std::string move_run_aside(FileSystem& files, const RunDirectory& directory, Log& log) {
  const std::string root = directory.root.string();
  for (int number = 1;; ++number) {
    std::string aside = fmt::format("{}.old-{}", root, number);
    if (files.exists(aside)) continue;
    files.rename(root, aside, Replace::never);
    log.info(fmt::format("moved the earlier run to {}", aside));
    return aside;
  }
}

}  // namespace

std::string this_job() {
  const std::string job = slurm_job();
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("process {} on {}{}, since {:%Y-%m-%d %H:%M:%S}", getpid(), host_name(),
                     job.empty() ? "" : ", SLURM job " + job, fmt::localtime(now));
}

std::unique_ptr<FileLock> enter_run(FileSystem& files, const RunDirectory& directory, Log& log) {
  const std::string root = directory.root.string();
  make_run(files, root);
  LockAttempt attempt = lock_run(files, directory);
  if (attempt.state == LockAttempt::State::unsupported)
    log.warning(fmt::format("{}: the file system has no locks ({}): make sure that no other job trains this run", root,
                            attempt.note));
  return std::move(attempt.lock);
}

void replace_run(FileSystem& files, const RunDirectory& directory, std::unique_ptr<FileLock>& lock, Log& log) {
  const std::string aside = move_run_aside(files, directory, log);
  files.remove(join_path(aside, directory.lock().filename().string()));
  make_run(files, directory.root.string());
  lock = std::move(lock_run(files, directory).lock);
}

}  // namespace ferula
