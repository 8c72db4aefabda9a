#include "cluster/batch_script.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/human.hpp"
#include "cluster/words.hpp"

namespace ferula {
namespace {

/// What follows the step. `latest` names the newest checkpoint, so it tells whether a start has come further.
constexpr std::string_view kGoOn = R"sh(
latest() { cat "$run/checkpoints/latest" 2>/dev/null || true; }
stalled="$run/stalled-starts"

# Queues this job again; SLURM ends this script as it does so. Where it may not, the script is submitted anew. What was
# cancelled stays so, however the step ended.
again() {
  case $(scontrol show job -o "$SLURM_JOB_ID" 2>/dev/null) in
    *JobState=CANCELLED*) echo "job $SLURM_JOB_ID: $1; it was cancelled and is not queued again" && exit "$code" ;;
  esac
  echo "job $SLURM_JOB_ID: $1; it goes back to the queue"
  if scontrol requeue "$SLURM_JOB_ID"; then sleep 600 && exit 0; fi
  after="afterany:$SLURM_JOB_ID"
  sbatch --dependency="$after" ${SLURM_ARRAY_TASK_ID:+--array="$SLURM_ARRAY_TASK_ID"} "$script" && exit 0
  echo "job $SLURM_JOB_ID: SLURM queues neither it nor $script; submit again to go on" >&2
  exit "$code"
}

before=$(latest)
start=$((${SLURM_RESTART_COUNT:-0} + 1))
echo "job $SLURM_JOB_ID, start $start on $SLURM_JOB_NODELIST at $(date '+%F %T'), from ${before:-the beginning}"
)sh";

constexpr std::string_view kAfterStep = R"sh(
# srun ends with 0 also where a node could not start its ranks: only the run itself says that it is done.
if [ "$code" -eq 0 ] && ! grep -q '"exit_reason": *"finished"' "$run/summary.json" 2>/dev/null; then code=1; fi
if [ "$(latest)" != "$before" ]; then
  tries=0
  rm -f "$stalled"
else
  tries=$(($(cat "$stalled" 2>/dev/null || echo 0) + 1))
  mkdir -p "$run" && echo "$tries" >"$stalled"
fi
case $code in
  0) rm -f "$stalled" && exit 0 ;;
  75) [ "$tries" -ge 3 ] || again "saved before its end" ;;
  2 | 3 | 130) ;;
  *)
    [ "$tries" -gt 0 ] || again "ended with $code after $(latest)"
    [ "$tries" -ge 2 ] || again "ended with $code before its first checkpoint"
    ;;
esac
echo "job $SLURM_JOB_ID: ended with $code and is not queued again ($tries starts without a new checkpoint)" >&2
exit "$code"
)sh";

/// SLURM fills in what stands behind a percent sign of a file's name.
std::string without_placeholders(const std::string& path) {
  std::string escaped;
  for (const char c : path) escaped += c == '%' ? std::string("%%") : std::string(1, c);
  return escaped;
}

/// sbatch reads one option a line, in quotes as a shell's, and keeps its placeholders where there is a backslash.
std::string option_word(const std::string& option) {
  if (option.find_first_of("\n\r\\") != std::string::npos)
    throw ConfigError(
        fmt::format("sbatch: expected an option without line breaks and backslashes, found {}; rename "
                    "what has them, or change it in [slurm]. Nothing was submitted",
                    shell_word(option)));
  return shell_word(option);
}

std::string header(const JobRequest& request, const BatchJob& job) {
  std::string written_by = job.written_by;  // in a comment, which ends with its line
  std::replace(written_by.begin(), written_by.end(), '\n', ' ');
  std::string text =
      fmt::format("#!/bin/bash\n# Written by `{}`. Yours to change: sbatch takes it as it is.\n", written_by);
  const auto add = [&](const std::string& option) { text += fmt::format("#SBATCH {}\n", option_word(option)); };
  add("--job-name=" + job.name);
  for (const std::string& option : resource_options(request)) add(option);
  if (!job.array.empty()) add("--array=" + job.array);
  add(fmt::format("--signal=USR1@{}", request.signal_before_s));
  add(request.requeue ? "--requeue" : "--no-requeue");
  add("--open-mode=append");
  add("--chdir=" + job.folder);
  add(fmt::format("--output={}/slurm-{}.out", without_placeholders(job.run), job.array.empty() ? "%j" : "%A_%a"));
  return text;
}

std::string preparation(const JobRequest& request) {
  std::string text;
  for (const std::string& module : request.modules) {
    const std::string word = shell_word(module);
    text += fmt::format(
        "module load {} || {{ echo \"expected the module {}, which did not load; see: module avail\" >&2; exit 1; }}\n",
        word, word);
  }
  for (const std::string& line : request.setup) text += line + "\n";
  return text;
}

/// Variables and the settings of one task of an array.
std::string array_settings(const BatchJob& job) {
  if (job.array.empty()) return "own=()\n";
  std::string text = fmt::format("own=(--set run.name={}-\"$SLURM_ARRAY_TASK_ID\"", shell_word(job.name));
  if (job.varied.empty()) return text + " --set run.seed=\"$SLURM_ARRAY_TASK_ID\")\n";
  std::string values;
  for (std::size_t index = 0; index < job.varied.size(); ++index) {
    values += fmt::format("values{}=({})\n", index, command_text(job.varied[index].values));
    text += fmt::format(" --set {}=\"${{values{}[$SLURM_ARRAY_TASK_ID]}}\"", shell_word(job.varied[index].key), index);
  }
  return values + text + ")\n";
}

std::string step(const JobRequest& request, const BatchJob& job) {
  std::string log;
  if (!job.per_rank_log.empty())
    log = fmt::format(" --per-rank-log {}{}", shell_word(job.per_rank_log),
                      job.array.empty() ? "" : "/task-\"$SLURM_ARRAY_TASK_ID\"");
  return fmt::format("srun --mpi={} --kill-on-bad-exit=0 --wait=60 {} {} \"${{own[@]}}\"{}\ncode=$?\n",
                     shell_word(request.mpi), shell_word(job.program), command_text(job.train), log);
}

}  // namespace

std::string job_log(const BatchJob& job, const std::string& number) {
  return fmt::format("{}/slurm-{}{}.out", job.run, number, job.array.empty() ? "" : "_N");
}

std::string batch_script(const JobRequest& request, const BatchJob& job) {
  const std::string task = job.array.empty() ? "" : "-\"$SLURM_ARRAY_TASK_ID\"";
  std::string text = header(request, job);
  text += fmt::format("\nrun={}{}\nscript={}/job.sbatch\n", shell_word(job.run), task, shell_word(job.run));
  text += array_settings(job) + preparation(request);
  text += "export SRUN_CPUS_PER_TASK=\"$SLURM_CPUS_PER_TASK\"  # srun does not take it from the job by itself\n";
  if (!request.requeue) return text + "\n" + step(request, job) + "exit \"$code\"\n";
  return text + std::string(kGoOn) + step(request, job) + std::string(kAfterStep);
}

std::vector<std::string> interactive_words(const JobRequest& request, const std::vector<std::string>& command) {
  std::vector<std::string> words{"srun"};
  JobRequest one = request;  // a terminal belongs to one task, which gets the processors of all
  one.nodes = 1;
  one.cpus_per_task = request.ntasks_per_node * request.cpus_per_task;
  one.ntasks_per_node = 1;
  for (const std::string& option : resource_options(one)) words.push_back(option);
  words.emplace_back("--pty");
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

std::vector<std::string> allocation_words(const JobRequest& request) {
  std::vector<std::string> words{"salloc"};
  for (const std::string& option : resource_options(request)) words.push_back(option);
  return words;
}

std::vector<std::string> step_words(const JobRequest& request, const std::vector<std::string>& command) {
  std::vector<std::string> words{"srun"};
  for (const std::string& option : resource_options(request)) words.push_back(option);
  words.push_back("--mpi=" + request.mpi);
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

}  // namespace ferula
