// Talks to SLURM through its own commands.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace ferula {

/// SLURM has not told whether it took the job.
class UnknownSubmission : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// `sbatch --parsable OPTIONS SCRIPT`: the number of the job. Throws DeviceError with the command, what SLURM said, and
/// what to do about it, where nothing was submitted; UnknownSubmission where that cannot be told.
std::string submit_script(const std::string& script, const std::vector<std::string>& options);

/// Before srun and salloc, which wait for minutes for a controller that does not answer: throws DeviceError with what
/// `scontrol ping` says, and what to do. Nothing where there is no scontrol.
void expect_controller();

/// What squeue knows of a job.
struct QueuedJob {
  std::string state;   // "RUNNING", "PENDING", …
  std::string reason;  // why it waits, or where it runs
  std::string time_left;
  std::string start;  // when a job that waits is expected to start, "2026-11-28T10:00:00"; empty where none is foreseen
};

/// `sbatch --test-only OPTIONS SCRIPT`: what SLURM says of when and where the job would start. Submits nothing. Throws
/// as submit_script does.
std::string test_script(const std::string& script, const std::vector<std::string>& options);

/// This user's jobs in the queue by number: "12", tasks of arrays as "12_3" and the first of them as "12", too. Empty
/// where there is no SLURM or it does not answer; `problem`, where not null, is told why.
std::map<std::string, QueuedJob> queued_jobs(std::string* problem = nullptr);

/// The job `number`, or a task of it, that waits, runs or will run again; null where there is none.
const QueuedJob* job_with_work_left(const std::map<std::string, QueuedJob>& jobs, const std::string& number);

/// What SLURM remembers of a job that waits, runs or has ended minutes ago: a state for it, or for each of its tasks;
/// none of a job that it does not know (any more). Empty where SLURM does not answer.
std::optional<std::vector<std::string>> states_of_job(const std::string& number);
/// Whether a job in this state has ended, and not well.
bool ended_badly(const std::string& state);

/// What to do about a message of sbatch; empty for an unknown one.
std::string advice_on(const std::string& message);

}  // namespace ferula
