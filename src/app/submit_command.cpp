// `ferula submit`: a configuration becomes a job that trains to its end, over as many time limits as that takes.
#include <unistd.h>

#include <filesystem>

#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/jobs/host_launch.hpp"
#include "app/jobs/job_plan.hpp"
#include "app/jobs/job_submission.hpp"
#include "app/jobs/job_wait.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "cluster/run_program.hpp"
#include "cluster/slurm.hpp"
#include "cluster/words.hpp"

namespace ferula {
namespace {

constexpr OptionSpec kDryRun{"dry-run", "", "Prints the script, and submits nothing."};
constexpr OptionSpec kTestOnly{"test-only", "", "Asks SLURM when and where the job would start, and submits nothing."};
constexpr OptionSpec kWait{"wait", "", "Waits until the job has left the queue, over all its starts."};
constexpr OptionSpec kAfter{"after", "JOB|RUN",
                            "Starts after this job, or the job of this run, ended well; repeatable."};
constexpr OptionSpec kArray{"array", "LIST", "One run for each number (0-7, 1,4, 0-7%2): NAME-N with seed N."};
constexpr OptionSpec kVary{"vary", "KEY=V1,V2",
                           "One run for each value, NAME-0, NAME-1, …; further keys vary with it."};
constexpr OptionSpec kInteractive{"interactive", "",
                                  "Opens a shell on a node with what a node of the job has (srun --pty)."};
constexpr OptionSpec kAllocate{"allocate", "",
                               "Allocates the whole job and opens a shell, where srun starts the ranks."};

/// `--vary key=a,b` as key and values; all of one length.
std::vector<VariedSetting> varied_settings(const CommandLine& line) {
  std::vector<VariedSetting> varied;
  for (const std::string& text : line.all(kVary.name)) {
    const std::size_t equals = text.find('=');
    VariedSetting setting{.key = text.substr(0, equals), .values = {}};
    if (equals != std::string::npos)
      for (const std::string_view value : split(std::string_view(text).substr(equals + 1), ','))
        setting.values.emplace_back(value);
    if (setting.key.empty() || setting.values.empty())
      throw ConfigError(fmt::format("--vary: expected KEY=VALUE,VALUE, found '{}'", text));
    if (!varied.empty() && varied.front().values.size() != setting.values.size())
      throw ConfigError(fmt::format("--vary: expected {} values of {}, as {} has, found {}",
                                    varied.front().values.size(), setting.key, varied.front().key,
                                    setting.values.size()));
    varied.push_back(std::move(setting));
  }
  return varied;
}

/// The words after `ferula` that train the configuration in a job.
std::vector<std::string> train_words(const CommandLine& line, const std::string& path) {
  std::vector<std::string> words{"train", path};
  for (const std::string& set : line.all(kSet.name)) words.insert(words.end(), {"--set", set});
  return words;
}

/// Each task's values are as good as those of the file.
void check_varied(const CommandLine& line, const std::string& path, const std::vector<VariedSetting>& varied) {
  if (varied.empty()) return;
  for (std::size_t task = 0; task < varied.front().values.size(); ++task) {
    std::vector<std::string> sets = line.all(kSet.name);
    for (const VariedSetting& setting : varied) sets.push_back(setting.key + "=" + setting.values[task]);
    plan_job(path, sets);
  }
}

BatchJob batch_job(const CommandLine& line, const Invocation& invocation, const std::string& path,
                   const JobPlan& plan) {
  const std::filesystem::path here = std::filesystem::current_path();
  const RunConfig& run = plan.config.run;
  BatchJob job{.written_by = invocation.command,
               .name = run.name,
               .folder = here.string(),
               .run = (here / run.output_dir / run.name).lexically_normal().string(),
               .program = this_program(),
               .train = train_words(line, path),
               .array = line.text(kArray.name).value_or(""),
               .varied = varied_settings(line),
               .per_rank_log = line.text(kPerRankLog.name).value_or("")};
  if (!job.varied.empty() && !job.array.empty())
    throw ConfigError("expected --array or --vary, found both; --vary makes an array by itself");
  check_varied(line, path, job.varied);
  if (!job.varied.empty()) job.array = fmt::format("0-{}", job.varied.front().values.size() - 1);
  require_array_allowed(job.array, plan);
  return job;
}

/// What a person wants to know next.
std::string next_steps(const JobPlan& plan, const BatchJob& job, const std::string& number) {
  const std::string log = job_log(job, number);
  const std::string goes_on = plan.request.requeue
                                  ? "it saves before its time limit, is queued again and goes on, until the run is done"
                                  : "it saves before its time limit; submit it again to go on (slurm.requeue = false)";
  return fmt::format(
      "\njob {}: {} rank{} on {} node{}; {}\n"
      "  log     {}\n  watch   ferula status {}; squeue --me; tail -F {}\n"
      "  save    scancel --signal=USR1 {}   (saves now and goes on)\n  cancel  scancel {}   (saves and ends)\n",
      number, plan.request.ranks(), plan.request.ranks() == 1 ? "" : "s", plan.request.nodes,
      plan.request.nodes == 1 ? "" : "s", goes_on, log, shell_word(plan.config.run.output_dir), shell_word(log), number,
      number);
}

ExitCode in_session(const CommandLine& line, const JobPlan& plan) {
  const std::vector<std::string> words =
      line.has(kAllocate.name) ? allocation_words(plan.request) : interactive_words(plan.request, {"bash", "-i"});
  print_output("{}\n", command_text(words));
  if (line.has(kDryRun.name)) return ExitCode::done;
  expect_controller();
  become_program(words, "interactive jobs start on the cluster's head node: log in there, or load SLURM's module");
}

ExitCode on_hosts(const CommandLine& line, const std::vector<HostSlots>& hosts, const std::string& path) {
  std::vector<std::string> words = train_words(line, path);
  if (const auto folder = line.text(kPerRankLog.name)) words.insert(words.end(), {"--per-rank-log", *folder});
  if (!line.has(kDryRun.name)) launch_on_hosts(line, hosts, words);
  print_output("{}\n", command_text(words_over_hosts(line, hosts, words)));
  return ExitCode::done;
}

/// A script is also written far from the cluster: there a full disk says nothing about the job's.
void warn_of_storage(const JobPlan& plan, const BatchJob& job, bool is_dry_run) {
  const auto warn = [](const std::string& warning) { print_output("\nwarning: {}\n", warning); };
  try {
    for (const std::string& warning : storage_warnings(plan, job)) warn(warning);
  } catch (const CapacityError& error) {
    if (!is_dry_run) throw;
    warn(error.what());
  }
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  const std::string& path = line.positional(0, "a configuration, e.g. `ferula submit my.toml`");
  line.expect_at_most(1);
  if (const auto hosts = hosts_named(line)) return on_hosts(line, *hosts, path);
  const JobPlan plan = plan_job(path, line.all(kSet.name));
  if (line.has(kInteractive.name) || line.has(kAllocate.name)) return in_session(line, plan);
  const BatchJob job = batch_job(line, invocation, path, plan);
  const std::string script = batch_script(plan.request, job);
  print_output("{}", script);
  warn_of_storage(plan, job, line.has(kDryRun.name));
  if (line.has(kDryRun.name)) return ExitCode::done;
  const Submission submission{plan, job, script, line.all(kAfter.name), invocation.command};
  if (line.has(kTestOnly.name)) return print_output("\n{}\n", try_submission(submission)), ExitCode::done;
  const std::string number = submit(submission);
  print_output("{}", next_steps(plan, job, number));
  return line.has(kWait.name) ? wait_for_job(number) : ExitCode::done;
}

}  // namespace

Command submit_command() {
  std::vector<OptionSpec> options{kSet, kDryRun, kTestOnly, kWait, kAfter, kArray, kVary, kInteractive, kAllocate};
  for (const OptionSpec& option : host_options()) options.push_back(option);
  return {
      .name = "submit",
      .summary = "Writes the SLURM job that trains a configuration to its end, and submits it.",
      .usage = "ferula submit CONFIG.toml [options]",
      .description =
          "What the job asks for stands in [slurm] of the configuration; the cluster's profile fills in the rest\n"
          "and its limits are checked before SLURM would. The script is shown, kept as RUN/job.sbatch, and its log\n"
          "lies beside the run. Before its time limit the run saves, the job is queued again, and the run goes on:\n"
          "one submission trains for as long as it takes. With --hostfile there is no SLURM: mpirun starts the\n"
          "ranks over ssh.",
      .options = std::move(options),
      .examples = {"ferula submit my.toml --dry-run", "ferula submit my.toml --set slurm.nodes=2",
                   "ferula submit next.toml --after runs/my",
                   "ferula submit my.toml --vary optimizer.params.lr=1e-3,3e-4,1e-4",
                   "ferula submit my.toml --interactive", "ferula submit my.toml --hostfile hosts --dry-run"},
      .ranks = CommandRanks::one_process,
      .stop = CommandStop::ends,
      .run = run};
}

}  // namespace ferula
