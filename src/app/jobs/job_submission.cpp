#include "app/jobs/job_submission.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "app/jobs/job_record.hpp"
#include "app/jobs/run_status.hpp"
#include "app/jobs/storage_check.hpp"
#include "app/real_system.hpp"
#include "base/human.hpp"
#include "cluster/run_program.hpp"
#include "cluster/slurm.hpp"
#include "cluster/words.hpp"
#include "storage/file_system.hpp"

namespace ferula {
namespace {

bool is_job_number(const std::string& word) {
  return !word.empty() && word.find_first_not_of("0123456789_") == std::string::npos;
}

/// The number of the job that `after` names; none of a run that is done. Throws ConfigError where a job after it would
/// never start, or start at once because SLURM knows of nothing to wait for.
std::optional<std::string> awaited_job(FileSystem& files, const std::string& after) {
  std::string number = after;
  if (!is_job_number(after)) {
    const auto record = read_job_record(files, after);
    if (!record)
      throw ConfigError(fmt::format(
          "--after: expected the number of a job or the directory of a run that was submitted, found '{}'; `squeue "
          "--me` lists your jobs, `ferula status` your runs",
          after));
    number = record->job;
  }
  const auto states = states_of_job(number);
  if (!states) return number;  // sbatch tells why SLURM does not answer
  if (states->empty() && number != after && run_status(after, {}).state == "finished") return std::nullopt;
  if (states->empty())
    throw ConfigError(
        fmt::format("--after: expected a job that SLURM knows, found {}, which has ended long ago or never "
                    "was; leave --after out where it is done. Nothing was submitted",
                    number));
  const auto bad = std::find_if(states->begin(), states->end(), ended_badly);
  if (bad != states->end())
    throw ConfigError(
        fmt::format("--after: expected a job that may still end well, found {}, which ended as {}: a job "
                    "after it would never start. Nothing was submitted",
                    number, *bad));
  return number;
}

/// `--dependency=afterok:12:13`, and an end for a job whose turn can never come; none where there is nothing to wait
/// for.
std::vector<std::string> dependency(FileSystem& files, const std::vector<std::string>& after) {
  std::string numbers;
  for (const std::string& each : after)
    if (const auto number = awaited_job(files, each)) numbers += ":" + *number;
  if (numbers.empty()) return {};
  return {"--dependency=afterok" + numbers, "--kill-on-invalid-dep=yes"};
}

/// Two jobs of one run would only wait for each other's lock.
void require_no_other_job(FileSystem& files, const std::filesystem::path& run) {
  const auto record = read_job_record(files, run);
  if (!record) return;
  const auto jobs = queued_jobs();
  const QueuedJob* found = job_with_work_left(jobs, record->job);
  if (found == nullptr) return;
  throw DeviceError(fmt::format(
      "{}: expected a run without a job, found job {} ({}, {}); it goes on by itself. Wait for it, `scancel {}` it, or "
      "choose another run.name. Nothing was submitted",
      run.string(), record->job, found->state, found->reason, record->job));
}

/// In the shell that the job will have: a login node may know other modules than this shell has loaded. One after the
/// other, because some are there only where others are loaded.
void require_modules(const std::vector<std::string>& modules) {
  std::string command;
  for (const std::string& module : modules)
    command += fmt::format("{}module load {}", command.empty() ? "" : " && ", shell_word(module));
  if (command.empty()) return;
  const ProgramOutcome outcome = run_program({"bash", "-lc", command});
  // Old ones return 0 in spite of what they say.
  const bool complains = outcome.err.find("ERROR:") != std::string::npos ||
                         outcome.err.find("Unable to locate a modulefile") != std::string::npos ||
                         outcome.err.find("detected the following error") != std::string::npos;
  if (outcome.code == 0 && !complains) return;
  throw DeviceError(fmt::format(
      "tried: {}\nfound: {}\n`module avail` lists what there is; name it in slurm.modules (of the configuration, in "
      "place of the profile's). Nothing was submitted",
      command, outcome.said()));
}

/// The script under a name of its own until SLURM has taken it; removed with a directory that was made for it.
class PendingScript {
 public:
  PendingScript(FileSystem& files, const std::filesystem::path& run, const std::string& text)
      : files_(files), run_(run), is_new_(!files.is_directory(run.string())) {
    try {
      files_.make_directory(run_.string());
      write_file_atomically(files_, path(), text, Replace::existing);
    } catch (const CapacityError& error) {
      take_back();
      throw CapacityError(fmt::format(
          "{}; the disk or your quota there is full: `df -h`, `quota -s` or `lfs quota -h` tells, [run] output_dir "
          "chooses another place. Nothing was submitted",
          error.what()));
    } catch (const Error& error) {
      take_back();
      throw DeviceError(fmt::format("{}; set [run] output_dir to a folder that you may write to. Nothing was submitted",
                                    error.what()));
    }
  }
  ~PendingScript() {
    if (!kept_) take_back();
  }
  PendingScript(const PendingScript&) = delete;
  PendingScript& operator=(const PendingScript&) = delete;

  std::string path() const { return job_script(run_).string() + ".new"; }
  void keep() {
    kept_ = true;
    files_.rename(path(), job_script(run_).string(), Replace::existing);
  }

 private:
  void take_back() noexcept {
    try {
      files_.remove(is_new_ ? run_.string() : path());
    } catch (const Error&) {  // what cannot be removed is a script that nobody runs
    }
  }

  FileSystem& files_;
  std::filesystem::path run_;
  bool is_new_;
  bool kept_ = false;
};

/// The job that SLURM makes of the script, which stays where SLURM may have made one without saying so.
std::string number_of_job(PendingScript& script, const std::vector<std::string>& options) {
  try {
    return submit_script(script.path(), options);
  } catch (const UnknownSubmission&) {
    script.keep();
    throw;
  }
}

/// Everything that is known before SLURM is asked; returns the options of sbatch.
std::vector<std::string> checked_options(FileSystem& files, const Submission& submission) {
  std::vector<std::string> options = dependency(files, submission.after);
  require_no_other_job(files, submission.job.run);
  require_modules(submission.plan.request.modules);
  return options;
}

/// Where SLURM refuses what the profile has completed, the profile may be what is wrong.
template <class Ask>
std::string answer_of_slurm(const JobPlan& plan, Ask ask) {
  try {
    return ask();
  } catch (const UnknownSubmission&) {
    throw;
  } catch (const DeviceError& error) {
    if (!plan.profile) throw;
    throw DeviceError(
        fmt::format("{}. What is not set in [slurm] comes from {}; where that is wrong, mend a copy of it "
                    "and give its path as slurm.profile",
                    error.what(), plan.profile->origin));
  }
}

/// Tasks of "0-7", "1,4,9-12", "0-15:4", each with or without "%2" at the end; empty where it is none of these.
std::optional<std::int64_t> tasks_of(std::string_view array) {
  if (const std::size_t percent = array.find('%'); percent != std::string_view::npos) {
    if (whole_number(array.substr(percent + 1)).value_or(0) < 1) return std::nullopt;
    array = array.substr(0, percent);
  }
  std::int64_t tasks = 0;
  for (const std::string_view part : split(array, ',')) {
    const std::size_t colon = part.find(':'), dash = part.substr(0, colon).find('-');
    const auto step =
        colon == std::string_view::npos ? std::optional<std::int64_t>(1) : whole_number(part.substr(colon + 1));
    const auto first = whole_number(part.substr(0, std::min(dash, colon)));
    const auto last = dash == std::string_view::npos ? first : whole_number(part.substr(0, colon).substr(dash + 1));
    if (!first || !last || *last < *first || step.value_or(0) < 1) return std::nullopt;
    tasks += (*last - *first) / *step + 1;
  }
  return tasks;
}

}  // namespace

std::string try_submission(const Submission& submission) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const std::vector<std::string> options = checked_options(*files, submission);
  const PendingScript script(*files, submission.job.run, submission.script);
  return answer_of_slurm(submission.plan, [&] { return test_script(script.path(), options); });
}

std::string submit(const Submission& submission) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const std::filesystem::path run = submission.job.run;
  const std::vector<std::string> options = checked_options(*files, submission);
  PendingScript script(*files, run, submission.script);
  const std::string job = answer_of_slurm(submission.plan, [&] { return number_of_job(script, options); });
  script.keep();
  write_job_record(*files, run,
                   {.job = job,
                    .script = job_script(run).string(),
                    .log = job_log(submission.job, job),
                    .command = submission.command});
  return job;
}

void require_array_allowed(const std::string& array, const JobPlan& plan) {
  if (array.empty()) return;
  const auto tasks = tasks_of(array);
  if (!tasks) throw ConfigError(fmt::format("--array: expected numbers as 0-7, 1,4,9 or 0-15%4, found '{}'", array));
  const ClusterQos* qos = plan.profile ? plan.profile->find_qos(plan.request.qos) : nullptr;
  if (qos != nullptr && qos->jobs && *tasks > *qos->jobs)
    throw ConfigError(
        fmt::format("--array: QOS {} allows {} jobs, the array has {}; submit it in parts, or choose another "
                    "slurm.qos",
                    qos->name, *qos->jobs, *tasks));
}

std::vector<std::string> storage_warnings(const JobPlan& plan, const BatchJob& job) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const RealSystem facts({}, *files);
  const auto ranks = static_cast<int>(plan.request.ranks());
  const std::string folder = std::filesystem::path(job.run).parent_path().string();
  std::vector<std::string> warnings;
  try {
    RunStorage storage = run_storage(plan.config, plan.spec, ranks, *files);
    if (const std::int64_t runs = tasks_of(job.array).value_or(1); runs > 1) storage = storage.of_runs(runs);
    warnings.push_back(storage_problem(facts, storage, folder));
  } catch (const CapacityError& error) {
    throw CapacityError(fmt::format("{}. Nothing was submitted", error.what()));
  }
  if (plan.profile) warnings.push_back(place_problem(*plan.profile, job.run));
  warnings.push_back(missing_text(plan.config.data));
  std::erase(warnings, "");
  return warnings;
}

}  // namespace ferula
