// `ferula compare`: trains some steps at each ZeRO stage, one after the other, and shows what was measured.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/launch/child_process.hpp"
#include "app/run_entry.hpp"
#include "app/run_measures.hpp"
#include "app/table.hpp"
#include "base/handle.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "base/stopwatch.hpp"
#include "config/load_config.hpp"

namespace ferula {
namespace {

namespace json = boost::json;

constexpr OptionSpec kOnRanks{"ranks", "N", "Trains on N ranks, at least 2; default 2."};
constexpr OptionSpec kSteps{"steps", "N", "Steps of each run, default 10."};
constexpr OptionSpec kStage{"stage", "0|1|2|3", "A stage to run; may be given many times; default: all four."};
constexpr std::int64_t kHighestStage = 3;
constexpr std::int64_t kLeastSteps = 5;  // the first ones are slow, and do not count as speed
constexpr std::array<std::string_view, kHighestStage + 1> kBestFor{"small models (DDP)", "medium models",
                                                                   "large models", "very large models"};

struct LogTraits {
  using type = int;
  static type invalid() { return -1; }
  static void close(type descriptor) noexcept { ::close(descriptor); }
};

/// Where the runs of a comparison are, one folder a stage.
struct Comparison {
  std::string config;            // as typed
  std::vector<std::string> set;  // --set of the user
  std::filesystem::path folder;
  int ranks = 2;
  std::int64_t steps = 10;
  std::int64_t sequence_length = 0;
  std::vector<std::int64_t> stages;
  std::vector<std::string> length;  // settings that make the runs as short as that
};

std::string name_of_run(std::int64_t stage) { return fmt::format("stage-{}", stage); }

/// The words behind `ferula` that train one stage.
std::vector<std::string> train_words(const Comparison& comparison, std::int64_t stage) {
  std::vector<std::string> words{"train", comparison.config, "--resume", "never"};
  std::vector<std::string> settings = comparison.set;
  settings.insert(settings.end(), {fmt::format("run.output_dir={}", comparison.folder.string()),
                                   fmt::format("run.name={}", name_of_run(stage)),
                                   fmt::format("zero_optimization.stage={}", stage), "checkpoint.every_steps=0"});
  settings.insert(settings.end(), comparison.length.begin(), comparison.length.end());
  for (const std::string& setting : settings) words.insert(words.end(), {"--set", setting});
  words.insert(words.end(), {"--ranks", std::to_string(comparison.ranks)});
  return words;
}

/// A configuration may count in epochs, and warm up for longer than these few steps: its schedule stays.
std::vector<std::string> settings_of_length(const Config& written, std::int64_t steps) {
  std::vector<std::string> settings{"training.epochs=auto", fmt::format("training.steps={}", steps)};
  const SchedulerParams& schedule = written.scheduler.params;
  const bool decays = written.scheduler.type != "constant" && written.scheduler.type != "WarmupLR";
  if (decays && schedule.total_num_steps.is_auto() && schedule.warmup_num_steps > steps)
    settings.push_back(fmt::format("scheduler.params.total_num_steps={}", schedule.warmup_num_steps));
  return settings;
}

std::vector<std::int64_t> stages_of(const CommandLine& line) {
  std::vector<std::int64_t> stages;
  for (const std::string& word : line.all(kStage.name)) {
    if (word.size() != 1 || word[0] < '0' || word[0] > '3')
      throw ConfigError(fmt::format("--stage expects 0, 1, 2 or 3, found '{}'", word));
    stages.push_back(word[0] - '0');
  }
  if (stages.empty()) stages = {0, 1, 2, 3};
  std::sort(stages.begin(), stages.end());
  stages.erase(std::unique(stages.begin(), stages.end()), stages.end());
  return stages;
}

/// Throws every mistake of the configuration, at each of the stages, before anything runs.
Comparison make_comparison(const CommandLine& line, const Invocation& invocation) {
  if (invocation.ranks > 1)
    throw ConfigError(
        fmt::format("ferula compare starts its ranks itself, one run after the other: start it once, "
                    "without mpirun or srun, with --ranks {}",
                    invocation.ranks));
  Comparison comparison{.config = line.positional(0, "a configuration, e.g. `ferula compare my.toml --ranks 2`"),
                        .set = line.all(kSet.name),
                        .ranks = static_cast<int>(line.integer(kOnRanks.name, 1, 65536).value_or(2)),
                        .steps = line.integer(kSteps.name, kLeastSteps, 1'000'000).value_or(10),
                        .stages = stages_of(line)};
  line.expect_at_most(1);
  if (comparison.ranks < 2)
    throw ConfigError(
        "--ranks: expected at least 2 ranks to compare stages on, found 1: a rank alone shares nothing, and all stages "
        "are the same there");
  const Config written = draft_config(comparison.config, ferula_environment(), comparison.set).loaded.config;
  comparison.folder = run_directory(written.run).root.string() + ".compare";
  comparison.sequence_length = written.data.sequence_length;
  comparison.length = settings_of_length(written, comparison.steps);
  const Command train = train_command();
  for (const std::int64_t stage : comparison.stages) {
    const std::vector<std::string> words = train_words(comparison, stage);
    train.check(CommandLine("train", all_options(train), std::span(words).subspan(1)), comparison.ranks);
  }
  return comparison;
}

/// Blocks until the child has ended; passes Ctrl-C and its like on. Returns its exit code.
int wait_for(pid_t child, const BlockedSignals& signals) {
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child)
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    const timespec pause{.tv_sec = 0, .tv_nsec = 100'000'000};
    const int signal = sigtimedwait(&signals.set(), nullptr, &pause);
    if (signal > 0 && signal != SIGCHLD) kill(child, signal);
  }
}

/// That of a child, where it is one of the program's. A signal that ended it is a failure, and so is a run that saved:
/// a comparison begins anew.
ExitCode exit_code_of(int code) {
  for (const ExitCode known : {ExitCode::usage, ExitCode::does_not_fit, ExitCode::interrupted})
    if (code == static_cast<int>(known)) return known;
  return ExitCode::failed;
}

/// Trains one stage in a process of its own, which prints into a file beside the runs.
RunMeasures train_stage(const Comparison& comparison, std::int64_t stage, FileSystem& files) {
  const std::filesystem::path log = comparison.folder / (name_of_run(stage) + ".txt");
  const Handle<LogTraits> output(open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!output)
    throw DeviceError(fmt::format("{}: expected to write what the run prints; cannot create it", log.string()));
  std::vector<std::string> words{std::filesystem::read_symlink("/proc/self/exe").string()};
  const std::vector<std::string> train = train_words(comparison, stage);
  words.insert(words.end(), train.begin(), train.end());
  const BlockedSignals signals({SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD});
  const int code = wait_for(start_child(words, signals, "", output.get()), signals);
  if (code != 0)
    throw Error(fmt::format("stage {} ended with {}; what it printed is in {}", stage, code, log.string()),
                exit_code_of(code));
  return read_run_measures(files, {comparison.folder / name_of_run(stage)});
}

std::string rate_text(const std::optional<double>& rate) { return rate ? human_count(*rate) : "-"; }

double largest_difference(const std::vector<RunMeasures>& runs) {
  const auto less = [](const RunMeasures& a, const RunMeasures& b) { return a.final_loss < b.final_loss; };
  const auto [least, most] = std::minmax_element(runs.begin(), runs.end(), less);
  return most->final_loss - least->final_loss;
}

std::string as_text(const Comparison& comparison, const std::vector<RunMeasures>& runs) {
  Table table({"ZeRO stage", "memory a rank", "of the first", "foreseen", "tokens/s", "sent a step", "first loss",
               "final loss", "best for"});
  for (const RunMeasures& run : runs)
    table.add({std::to_string(run.stage), human_bytes(run.peak_bytes),
               fmt::format("{:.0f} %",
                           100.0 * static_cast<double>(run.peak_bytes) / static_cast<double>(runs.front().peak_bytes)),
               human_bytes(run.expected_bytes), rate_text(run.tokens_per_second),
               human_bytes(std::llround(run.sent_bytes_per_step)), fmt::format("{:.4f}", run.first_loss),
               fmt::format("{:.4f}", run.final_loss), std::string(kBestFor.at(static_cast<std::size_t>(run.stage)))});
  const auto fastest = std::max_element(runs.begin(), runs.end(), [](const RunMeasures& a, const RunMeasures& b) {
    return a.tokens_per_second.value_or(0.0) < b.tokens_per_second.value_or(0.0);
  });
  const auto smallest = std::min_element(
      runs.begin(), runs.end(), [](const RunMeasures& a, const RunMeasures& b) { return a.peak_bytes < b.peak_bytes; });
  return fmt::format(
      "\n{}: {} steps on {} ranks at each stage, measured one after the other\n\n{}\n"
      "final losses differ by at most {:.2g}; stage {} was fastest, stage {} holds least\n"
      "rates drift on a machine that others use: compare what ran in one call\n",
      comparison.config, comparison.steps, comparison.ranks, table.text(), largest_difference(runs), fastest->stage,
      smallest->stage);
}

std::string as_json(const Comparison& comparison, const std::vector<RunMeasures>& runs) {
  json::array rows;
  for (const RunMeasures& run : runs)
    rows.push_back({{"zero_stage", run.stage},
                    {"memory_peak_bytes", run.peak_bytes},
                    {"memory_expected_bytes", run.expected_bytes},
                    {"memory_host_bytes", run.host_bytes},
                    {"tokens_per_second", run.tokens_per_second ? json::value(*run.tokens_per_second) : nullptr},
                    {"sent_bytes_per_step", run.sent_bytes_per_step},
                    {"first_loss", run.first_loss},
                    {"final_loss", run.final_loss}});
  return json::serialize(json::object{{"config", comparison.config},
                                      {"ranks", comparison.ranks},
                                      {"steps", comparison.steps},
                                      {"largest_loss_difference", largest_difference(runs)},
                                      {"stages", std::move(rows)}}) +
         "\n";
}

/// Two comparisons of one configuration would remove each other's runs.
std::unique_ptr<FileLock> lock(FileSystem& files, const Comparison& comparison) {
  const std::string path = comparison.folder.string() + ".lock";
  files.make_directory(parent_of(path));
  LockAttempt attempt = files.try_lock(path, this_job());
  if (attempt.state == LockAttempt::State::busy)
    throw DeviceError(
        fmt::format("{}: expected no other comparison of this configuration, found one of {}; wait for "
                    "it, or choose another run.name; nothing was changed",
                    comparison.folder.string(), attempt.note));
  return std::move(attempt.lock);
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  const Comparison comparison = make_comparison(line, invocation);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const std::unique_ptr<FileLock> alone = lock(*files, comparison);
  files->remove(comparison.folder.string());  // what an earlier comparison that failed has left
  files->make_directory(comparison.folder.string());
  std::vector<RunMeasures> runs;
  for (const std::int64_t stage : comparison.stages) {
    const Stopwatch watch;
    runs.push_back(train_stage(comparison, stage, *files));
    if (!line.has(kJson.name))
      print_output("stage {}: {} steps, {} with starting and saving\n", stage, comparison.steps,
                   human_duration(watch.seconds()));
  }
  files->remove(comparison.folder.string());
  files->remove(comparison.folder.string() + ".lock");
  write_output(line.has(kJson.name) ? as_json(comparison, runs) : as_text(comparison, runs));
  return ExitCode::done;
}

}  // namespace

Command compare_command() {
  return {.name = "compare",
          .summary = "Trains some steps at each ZeRO stage and shows memory, speed, traffic and loss.",
          .usage = "ferula compare CONFIG.toml [options]",
          .description =
              "Everything is measured, by runs of this configuration that differ in the stage alone: memory of the\n"
              "rank that holds most, beside what was foreseen; tokens a second without the first steps; bytes that a\n"
              "rank sends a step, as the ZeRO papers count them; loss. The runs go into RUN.compare, which is removed\n"
              "at the end, and stays where one of them fails. The configuration's own run is not touched.",
          .options = {kSet, kOnRanks, kSteps, kStage, kJson},
          .examples = {"ferula compare configs/quickstart.toml --ranks 2",
                       "ferula compare my.toml --ranks 4 --steps 20 --stage 0 --stage 3 --json"},
          .ranks = CommandRanks::one_process,
          .stop = CommandStop::ends,
          .run = run};
}

}  // namespace ferula
