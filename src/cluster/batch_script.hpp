// The script that sbatch gets: what it asks for, and how a run goes on over the limits of a job.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cluster/job_request.hpp"

namespace ferula {

/// One setting that the tasks of an array vary.
struct VariedSetting {
  std::string key;
  std::vector<std::string> values;  // by the task's number, from 0 on
};

struct BatchJob {
  std::string written_by;          // "ferula submit train.toml", for the head of the script
  std::string name;                // of the job and of the run
  std::string folder;              // where the job works: absolute
  std::string run;                 // the run's directory, absolute; of an array without the task's number
  std::string program;             // absolute, or a word that the job finds
  std::vector<std::string> train;  // "train", "train.toml", "--set", …
  std::string array;               // "0-3%2"; empty: one job
  std::vector<VariedSetting> varied;
  std::string per_rank_log;  // a folder for what each rank prints, of an array one for each task; empty: one log
};

/// Where the own output of the job `number` goes; of an array the task's number is N.
std::string job_log(const BatchJob& job, const std::string& number);

/// The script. At a signal before the limit the run saves and ends with 75; the script then queues its job again, and
/// the run goes on. It does so too after a crash if a checkpoint was written since the start, so that a lost node or a
/// single fault costs little, and a run that cannot go on ends after one more try. Throws ConfigError where sbatch
/// could not read a name or an option.
std::string batch_script(const JobRequest& request, const BatchJob& job);

/// The words of an interactive step (`srun … --pty bash`), and of an allocation for several (`salloc …`).
std::vector<std::string> interactive_words(const JobRequest& request, const std::vector<std::string>& command);
std::vector<std::string> allocation_words(const JobRequest& request);
/// The words that train at once on the cluster, for a message: `srun … ferula train my.toml`.
std::vector<std::string> step_words(const JobRequest& request, const std::vector<std::string>& command);

}  // namespace ferula
