#include "app/program.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "app/command_documents.hpp"
#include "app/common_options.hpp"
#include "app/errors.hpp"
#include "app/jobs/host_launch.hpp"
#include "app/jobs/job_plan.hpp"
#include "app/launch/launch_report.hpp"
#include "app/launch/launcher.hpp"
#include "app/launch/rank_log.hpp"
#include "app/launch/stop_signals.hpp"
#include "app/rank_context.hpp"
#include "app/version.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "comm/launch_environment.hpp"
#include "comm/node_place.hpp"
#include "config/nearest_name.hpp"

namespace ferula {
namespace {

/// Commands of the documentation that this version does not have.
constexpr std::array<std::string_view, 3> kLaterCommands{"chat", "replay", "serve"};

const Command& command_named(std::span<const Command> commands, const std::string& word) {
  std::vector<std::string> names;
  for (const Command& command : commands) {
    if (command.name == word) return command;
    names.emplace_back(command.name);
  }
  if (std::find(kLaterCommands.begin(), kLaterCommands.end(), word) != kLaterCommands.end())
    throw ConfigError(
        fmt::format("`ferula {}` does not exist in this version; there are: {}", word, fmt::join(names, ", ")));
  const std::optional<std::string> near = nearest_name(word, names);
  throw ConfigError(fmt::format("expected a command, found '{}'{}; `ferula --help` lists them", word,
                                near ? fmt::format(", did you mean '{}'?", *near) : ""));
}

/// What the user typed: without what our launcher has added behind it.
std::string typed(std::span<const std::string> arguments) {
  std::string text = "ferula";
  for (const std::string& word : arguments) {
    if (word == "--" + std::string(kLaunchReport.name)) break;
    text += " " + shell_word(word);
  }
  return text;
}

/// One started `ferula COMMAND …`: alone, as a launched rank, or as the launcher of ranks.
class Start {
 public:
  Start(const Command& command, std::span<const std::string> arguments)
      : command_(command),
        arguments_(arguments),
        launched_(launched_rank()),
        line_(command.name, options_of(command), arguments.subspan(1)),
        report_(line_.text(kLaunchReport.name).value_or("")) {}

  ExitCode run() {
    if (line_.has("help")) return is_speaker() ? (write_output(help_of(command_)), ExitCode::done) : ExitCode::done;
    guard_head_node();
    if (command_.ranks == CommandRanks::all_ranks) {
      const auto hosts = launched_ ? std::nullopt : hosts_named(line_);
      if (hosts) launch_on_hosts(line_, *hosts, {arguments_.begin(), arguments_.end()});
      const int ranks = ranks_here("ranks").value_or(0);
      check_ranks(ranks);
      if (ranks > 1 && !launched_) {
        if (command_.check != nullptr) command_.check(line_, ranks);
        return with_note_on_logs(launch_ranks({ranks, arguments_, command_.stop, console()}));
      }
      if (ranks == 0) refuse_strangers();
    }
    return run_here();
  }

 private:
  static std::vector<OptionSpec> options_of(const Command& command) {
    std::vector<OptionSpec> options = all_options(command);
    options.insert(options.end(), {kLaunchReport, kLaunchTerminal});
    return options;
  }
  /// Heavy work belongs into a job; a look at what would be done does not count.
  void guard_head_node() const {
    const std::optional<HeavyWork> work = heavy_work();
    if (!work || launched_ || line_.has("dry-run")) return;
    const bool has_config = !line_.positionals().empty() && line_.positionals().front().ends_with(".toml");
    refuse_on_head_node(has_config ? line_.positionals().front() : "", line_.all(kSet.name),
                        {arguments_.begin(), arguments_.end()}, *work);
  }
  std::optional<HeavyWork> heavy_work() const {
    if (command_.name == "compare") return HeavyWork::own_ranks;
    const bool is_import =
        command_.name == "checkpoint" && !line_.positionals().empty() && line_.positionals().front() == "import";
    if (command_.name == "tokenize" || is_import) return HeavyWork::one_task;
    // The doctor alone is a look at this host, which a user begins with.
    const bool is_look = command_.name == "doctor" && !line_.has("ranks") && !line_.has("ranks-simulated");
    const bool has_ranks = command_.ranks == CommandRanks::all_ranks && !is_look;
    return has_ranks ? std::optional(HeavyWork::ranks) : std::nullopt;
  }
  /// Tasks of srun that MPI does not know of would all do the same work, and get into each other's way.
  void refuse_strangers() const {
    const std::optional<int> tasks = command_.name == "doctor" ? std::nullopt : strangers_in_step();
    if (!tasks) return;
    throw ConfigError(fmt::format(
        "expected ranks that know of each other, found {0} tasks of srun that each take themselves for the only one; "
        "start them with `srun --mpi=pmix` (`ferula doctor --only mpi-pmix` tells whether SLURM and MPI both speak "
        "it), or say --ranks {0} in one task, or --ranks 1 where each shall work for itself",
        *tasks));
  }
  std::optional<std::string> log_folder() const {
    return command_.ranks == CommandRanks::all_ranks ? line_.text(kPerRankLog.name) : std::nullopt;
  }
  /// What went wrong stands there, not here.
  ExitCode with_note_on_logs(ExitCode code) const {
    const auto folder = log_folder();
    if (folder && code != ExitCode::done)
      announce({.message = fmt::format("ended with {}; what the ranks said is in {}, …", static_cast<int>(code),
                                       rank_log(*folder, 0)),
                .code = code});
    return code;
  }
  void use_rank_log() const {
    const auto folder = log_folder();
    if (!folder) return;
    if (line_.has("ranks-simulated"))
      throw ConfigError("--per-rank-log: simulated ranks are one process with one output; use --ranks");
    if (is_speaker()) print_output("each rank prints to a file of its own: {}, …\n", rank_log(*folder, 0));
    print_to_rank_log(*folder, launched_ ? launched_->rank : 0);
  }
  bool is_speaker() const { return !launched_ || launched_->rank == 0; }
  LogConsole console() const {
    // mpirun gives ranks a terminal of their own even where its output goes to a file: only our launcher knows.
    if (log_folder()) return LogConsole::plain;
    const bool terminal = launched_ ? line_.has(kLaunchTerminal.name) : isatty(STDOUT_FILENO) == 1;
    return terminal ? LogConsole::interactive : LogConsole::plain;
  }
  /// A mistyped number of ranks is refused before it takes the host down.
  std::optional<int> ranks_here(std::string_view option) const {
    const std::optional<std::int64_t> ranks = line_.integer(option, 1);
    if (!ranks) return std::nullopt;
    const auto processors = static_cast<std::int64_t>(allowed_cpus().count());
    const std::int64_t most = std::max<std::int64_t>(64, 8 * processors);
    if (*ranks > most)
      throw ConfigError(
          fmt::format("--{}: expected at most {} ranks on this host with {} processors, found {}; start ranks on "
                      "several hosts with mpirun or srun",
                      option, most, processors, *ranks));
    return static_cast<int>(*ranks);
  }
  void check_ranks(int ranks) const {
    const bool simulated = line_.has("ranks-simulated");
    if (simulated && (ranks > 0 || launched_))
      throw ConfigError("--ranks-simulated runs all ranks in one process: use it without --ranks and without mpirun");
    if (launched_ && report_.empty() && ranks > 0 && ranks != launched_->ranks)
      throw ConfigError(fmt::format("mpirun or srun started {} ranks, --ranks asks for {}; give the number once",
                                    launched_->ranks, ranks));
  }
  ExitCode run_here() {
    if (command_.ranks == CommandRanks::one_process && !is_speaker()) return ExitCode::done;
    use_rank_log();
    std::unique_ptr<StopRequest> stop = std::make_unique<NoStopRequest>();
    if (command_.stop == CommandStop::saves) stop = std::make_unique<StopSignals>(report_);
    report_ready(report_);
    const ExitCode code = run_command(*stop);
    report_end(report_, code);
    return report_.empty() ? code : ExitCode::done;  // mpirun would end the other ranks for any other code
  }
  ExitCode run_command(const StopRequest& stop) const {
    try {
      return command_.run(line_, invocation(stop));
    } catch (...) {
      report_end(report_, failure_of(std::current_exception()).code);
      throw;
    }
  }
  Invocation invocation(const StopRequest& stop) const {
    Invocation made{.command = typed(arguments_), .console = console(), .launch_report = report_, .stop = &stop};
    if (launched_) made.ranks = launched_->ranks;
    if (command_.ranks == CommandRanks::one_process) return made;
    if (launched_) {
      made.kind = RankKind::mpi;
    } else if (const auto simulated = ranks_here("ranks-simulated")) {
      made.kind = RankKind::simulated;
      made.ranks = *simulated;
    }
    return made;
  }

  const Command& command_;
  std::span<const std::string> arguments_;
  std::optional<LaunchedRank> launched_;
  CommandLine line_;
  std::filesystem::path report_;
};

/// What is left when `ferula` itself is asked, not a command.
std::optional<std::string> own_answer(std::span<const Command> commands, std::span<const std::string> arguments) {
  if (arguments.empty()) throw ConfigError("expected a command\n\n" + help_of(commands));
  const std::string& first = arguments.front();
  const bool has_value = arguments.size() == 2;
  if (first == "--completion" && has_value) return completion_script(commands, arguments[1]);
  if (first == "--man-pages" && has_value) {
    write_man_pages(commands, arguments[1]);
    return fmt::format("wrote {} man pages into {}\n", commands.size() + 1, arguments[1]);
  }
  if (first == "--version") return fmt::format("ferula {} ({})\n", version(), revision());
  if (first != "--help" && first != "-h" && first != "help") return std::nullopt;
  return arguments.size() == 1 ? help_of(commands) : help_of(command_named(commands, arguments[1]));
}

/// Reports an error of a command, or where `command` is null of the words before it.
ExitCode fail(const Command* command, const Failure& failure) noexcept {
  const std::optional<LaunchedRank> launched = launched_rank();
  const bool together = command == nullptr || command->ranks == CommandRanks::all_ranks;
  if (launched && together) end_launched_ranks(failure);
  if (!launched || launched->rank == 0) announce(failure);
  return failure.code;
}

}  // namespace

ExitCode run_program(std::span<const Command> commands, std::span<const std::string> arguments) noexcept {
  const Command* command = nullptr;
  try {
    if (const std::optional<std::string> answer = own_answer(commands, arguments))
      return write_output(*answer), ExitCode::done;
    command = &command_named(commands, arguments.front());
    return Start(*command, arguments).run();
  } catch (...) {
    return fail(command, failure_of(std::current_exception()));
  }
}

}  // namespace ferula
