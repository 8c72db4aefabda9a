#include "app/job_wait.hpp"

#include <algorithm>
#include <thread>

#include "base/output.hpp"
#include "cluster/run_program.hpp"
#include "cluster/slurm.hpp"
#include "cluster/words.hpp"

namespace ferula {
namespace {

constexpr int kMostSilentLooks = 120;

/// Whether every task of a job that has ended is known, and ended well.
bool ended_well(const std::string& number) {
  const ProgramOutcome outcome = run_program({"scontrol", "show", "job", "-o", number});
  int tasks = 0, good = 0;
  for (const std::string_view line : split(outcome.out, '\n')) {
    if (line.find("JobState=") == std::string_view::npos) continue;
    ++tasks;
    if (line.find("JobState=COMPLETED") != std::string_view::npos) ++good;
  }
  return tasks > 0 && good == tasks;
}

}  // namespace

ExitCode wait_for_job(const std::string& number, std::chrono::milliseconds between_looks) {
  for (int silent_looks = 0;;) {
    std::this_thread::sleep_for(between_looks);
    std::string problem;
    const auto jobs = queued_jobs(&problem);
    if (problem.empty()) {
      if (!jobs.contains(number)) break;
      silent_looks = 0;
    } else if (++silent_looks == kMostSilentLooks) {
      throw DeviceError(fmt::format("job {} was submitted; {}", number, problem));
    }
  }
  const bool is_good = ended_well(number);
  print_output("job {} has ended{}\n", number, is_good ? "" : "; its log and `ferula status` tell how");
  return is_good ? ExitCode::done : ExitCode::failed;
}

}  // namespace ferula
