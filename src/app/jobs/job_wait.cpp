#include "app/jobs/job_wait.hpp"

#include <algorithm>
#include <thread>

#include "base/output.hpp"
#include "cluster/slurm.hpp"

namespace ferula {
namespace {

constexpr int kMostSilentLooks = 120;

bool ended_well(const std::string& number) {
  const auto states = states_of_job(number).value_or(std::vector<std::string>{});
  return !states.empty() &&
         std::all_of(states.begin(), states.end(), [](const std::string& each) { return each == "COMPLETED"; });
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
