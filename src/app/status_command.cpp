// `ferula status`: the runs under a directory, how far each has come, and its job.
#include <boost/json.hpp>
#include <filesystem>

#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/jobs/run_status.hpp"
#include "app/table.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "train/json_value.hpp"

namespace ferula {
namespace {

namespace json = boost::json;

template <class T, class Show>
std::string shown(const std::optional<T>& value, Show show) {
  return value ? show(*value) : "-";
}

std::string as_table(const std::vector<RunStatus>& runs) {
  Table table({"run", "job", "step", "loss", "tok/s", "eta", "state"}, Table::Last::text);
  for (const RunStatus& run : runs) {
    const auto count = [](std::int64_t number) { return std::to_string(number); };
    table.add({run.run, run.job.empty() ? "-" : run.job, shown(run.step, count) + "/" + shown(run.steps, count),
               shown(run.loss, [](double loss) { return fmt::format("{:.3f}", loss); }),
               shown(run.tokens_per_second, human_count), shown(run.eta_s, human_duration), run.state});
  }
  return table.text();
}

template <class T>
json::value or_null(const std::optional<T>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

std::string as_json(const std::vector<RunStatus>& runs) {
  json::array list;
  for (const RunStatus& run : runs)
    list.push_back({{"run", run.run},
                    {"job", run.job.empty() ? json::value(nullptr) : json::value(run.job)},
                    {"state", json_text(run.state)},
                    {"log", run.log.empty() ? json::value(nullptr) : json::value(run.log)},
                    {"step", or_null(run.step)},
                    {"steps", or_null(run.steps)},
                    {"loss", or_null(run.loss)},
                    {"tokens_per_second", or_null(run.tokens_per_second)},
                    {"eta_s", or_null(run.eta_s)}});
  return json::serialize(list) + "\n";
}

ExitCode run(const CommandLine& line, const Invocation&) {
  std::vector<std::string> places = line.positionals();
  if (places.empty()) places.emplace_back("runs");
  for (const std::string& place : places)
    if (!std::filesystem::is_directory(place))
      throw ConfigError(
          fmt::format("expected a directory of runs, or of one run, found none at '{}'; give [run] output_dir", place));
  std::string problem;
  const auto jobs = queued_jobs(&problem);
  std::vector<RunStatus> runs;
  bool any_job = false;
  for (const std::filesystem::path& run : find_runs(places)) {
    runs.push_back(run_status(run, jobs));
    any_job = any_job || !runs.back().job.empty();
  }
  if (line.has(kJson.name)) return write_output(as_json(runs)), ExitCode::done;
  write_output(runs.empty() ? "no runs here\n" : as_table(runs));
  if (any_job && !problem.empty()) print_output("jobs are not shown as they are now: {}\n", problem);
  return ExitCode::done;
}

}  // namespace

Command status_command() {
  return {.name = "status",
          .summary = "Shows the runs under a directory: how far each has come, and its job.",
          .usage = "ferula status [DIR]... [options]",
          .description =
              "Reads what runs leave in their directories (default: runs) and asks SLURM, where there is one, for the\n"
              "jobs that `ferula submit` has submitted for them. Changes nothing.",
          .options = {kJson},
          .examples = {"ferula status", "ferula status runs/my", "ferula status /lustreFS/data/group/runs --json"},
          .ranks = CommandRanks::one_process,
          .stop = CommandStop::ends,
          .run = run};
}

}  // namespace ferula
