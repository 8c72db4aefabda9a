// `ferula doctor`: is this machine, this job, this cluster fit to run, and what to do where not.
#include <boost/json.hpp>

#include <algorithm>
#include <filesystem>
#include <set>

#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/compute_backend.hpp"
#include "app/features.hpp"
#include "app/jobs/job_plan.hpp"
#include "app/jobs/job_probes.hpp"
#include "app/jobs/storage_check.hpp"
#include "app/model_setup.hpp"
#include "app/real_system.hpp"
#include "base/output.hpp"
#include "comm/gather_texts.hpp"
#include "comm/launch_environment.hpp"
#include "config/nearest_name.hpp"
#include "config/resolve_config.hpp"
#include "data/tokenizer.hpp"
#include "data/utf8.hpp"
#include "doctor/report.hpp"

namespace ferula {
namespace {

namespace json = boost::json;

constexpr OptionSpec kOnly{"only", "NAME", "A group of checks or one of them; may be given many times."};
constexpr OptionSpec kDirectory{"directory", "DIR",
                                "Where runs will be written; default: [run] output_dir of CONFIG.toml, or here."};
constexpr OptionSpec kFeatures{"features", "", "Prints what this build can do here, backend by backend, and why not."};
constexpr OptionSpec kMarkdown{"markdown", "", "Prints the page of all checks instead of asking them."};

std::vector<Check> wanted_checks(const CommandLine& line) {
  const std::vector<std::string> only = line.all(kOnly.name);
  std::vector<Check> wanted;
  std::set<std::string> known;
  for (const Check& check : all_checks()) {
    known.insert({std::string(check.name), std::string(name_of(check.group))});
    const bool is_wanted = only.empty() || std::any_of(only.begin(), only.end(), [&](const std::string& word) {
                             return word == check.name || word == name_of(check.group);
                           });
    if (is_wanted) wanted.push_back(check);
  }
  const std::vector<std::string> names(known.begin(), known.end());
  for (const std::string& word : only) {
    if (known.contains(word)) continue;
    const auto near = nearest_name(word, names);
    throw ConfigError(
        fmt::format("--only expects a check or a group of them, found '{}'{}; docs/doctor.md lists them, "
                    "and so does `ferula doctor --markdown`",
                    word, near ? fmt::format(", did you mean '{}'?", *near) : ""));
  }
  return wanted;
}

std::string packed(const RankAnswers& rank) {
  json::array answers;
  for (const Answer& answer : rank.answers)
    answers.push_back({answer.index, static_cast<int>(answer.finding.verdict), with_valid_utf8(answer.finding.found)});
  return json::serialize(json::object{{"rank", rank.rank}, {"host", rank.host}, {"answers", std::move(answers)}});
}

RankAnswers unpacked(const std::string& text) {
  const json::value parsed = json::parse(text);
  RankAnswers rank{.rank = parsed.at("rank").to_number<int>(), .host = json::value_to<std::string>(parsed.at("host"))};
  for (const json::value& answer : parsed.at("answers").as_array())
    rank.answers.push_back(
        {answer.at(0).to_number<std::size_t>(),
         {static_cast<Verdict>(answer.at(1).to_number<int>()), json::value_to<std::string>(answer.at(2))}});
  return rank;
}

std::vector<RankAnswers> answers_of_all(RankContext& context, const RankAnswers& mine) {
  std::vector<RankAnswers> all;
  for (const std::string& text : gather_texts(context.mesh.world(), context.execution.communication, packed(mine)))
    all.push_back(unpacked(text));
  return all;
}

std::vector<std::string> hosts_of(const std::vector<RankAnswers>& ranks) {
  std::set<std::string> hosts;
  for (const RankAnswers& rank : ranks) hosts.insert(rank.host);
  return {hosts.begin(), hosts.end()};
}

json::object as_json(const CheckResult& result) {
  json::array findings;
  for (const RankFinding& each : result.findings)
    findings.push_back({{"rank", each.rank},
                        {"host", each.host},
                        {"verdict", name_of(each.finding.verdict)},
                        {"found", each.finding.found}});
  return {{"name", result.check.name},          {"group", name_of(result.check.group)},
          {"verdict", name_of(result.verdict)}, {"hosts_differ", result.differs},
          {"expected", result.check.expected},  {"remedy", result.check.remedy},
          {"findings", std::move(findings)}};
}

std::string as_json(const std::vector<CheckResult>& results, const std::vector<RankAnswers>& ranks) {
  json::array checks, hosts;
  for (const CheckResult& result : results) checks.push_back(as_json(result));
  for (const std::string& host : hosts_of(ranks)) hosts.emplace_back(host);
  json::object counts;
  for (const Verdict verdict : {Verdict::ok, Verdict::warning, Verdict::failure, Verdict::skipped})
    counts[name_of(verdict)] = count_of(results, verdict);
  return json::serialize(json::object{{"verdict", name_of(worst_of(results))},
                                      {"ranks", ranks.size()},
                                      {"hosts", std::move(hosts)},
                                      {"counts", std::move(counts)},
                                      {"checks", std::move(checks)}});
}

std::string as_text(const std::vector<CheckResult>& results, const std::vector<RankAnswers>& ranks) {
  const std::vector<std::string> hosts = hosts_of(ranks);
  return fmt::format("{} rank{} on {}\n\n{}", ranks.size(), ranks.size() == 1 ? "" : "s", fmt::join(hosts, ", "),
                     report_text(results));
}

/// Absolute, without a slash at its end.
std::string plain_path(const std::string& typed) {
  const std::filesystem::path path = std::filesystem::absolute(typed).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).string();
}

/// The run that the user asks about: what it will write, and where.
struct AskedRun {
  std::string directory;
  std::optional<StorageNeed> need;
};

AskedRun asked_run(const CommandLine& line, int ranks) {
  AskedRun asked{.directory = line.text(kDirectory.name).value_or("."), .need = {}};
  if (line.positionals().empty()) return asked;
  ConfigDraft draft = draft_config(line.positionals().front(), ferula_environment(), line.all(kSet.name));
  const std::int64_t vocabulary = make_tokenizer(draft.loaded.config)->vocabulary();
  const ResolveFacts facts{.data_parallel_ranks = ranks,
                           .tokenizer_vocabulary = vocabulary,
                           .device = device_facts(*choose_compute(draft.loaded.config.run)),
                           .tensor_names = tensor_names};
  const Config config = resolve_config(std::move(draft), facts).config;
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  asked.need = run_storage(config, transformer_spec(config.model, vocabulary), ranks, *files).need;
  if (!line.has(kDirectory.name)) asked.directory = config.run.output_dir;
  return asked;
}

/// The nearest folder above that exists: a run makes the others.
std::string existing(std::filesystem::path path) {
  std::error_code unreadable;
  while (!std::filesystem::exists(path, unreadable) && path.has_relative_path()) path = path.parent_path();
  return path.string();
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  line.expect_at_most(1);
  const std::vector<Check> checks = wanted_checks(line);
  if (line.has(kMarkdown.name)) {
    write_output(checks_markdown());
    return ExitCode::done;
  }
  if (line.has(kFeatures.name)) {
    const std::vector<Feature> features = features_here();
    if (launched_rank().value_or(LaunchedRank{}).rank == 0)
      write_output(line.has(kJson.name) ? features_json(features) : features_text(features));
    return ExitCode::done;
  }
  const AskedRun asked = asked_run(line, invocation.ranks);
  const std::string directory =
      line.has(kDirectory.name) ? plain_path(asked.directory) : existing(plain_path(asked.directory));
  const std::optional<ClusterProfile> profile =
      profile_here(line.positionals().empty() ? "" : line.positionals().front(), line.all(kSet.name));
  const bool asks_rates =
      std::any_of(checks.begin(), checks.end(), [](const Check& check) { return check.group == CheckGroup::speed; });
  const RankSettings ranks{.shape = {.shard = invocation.ranks}, .overlap = Overlap::off};
  return run_on_ranks(invocation, ranks, [&](RankContext& context) {
    JobFacts job = job_facts(context, invocation, directory, asks_rates ? ProbeDepth::rates : ProbeDepth::quick);
    job.will_write = asked.need;
    if (profile) job.home_place = profile->home, job.work_place = profile->work;
    const RealSystem facts(job, context.files);
    const std::vector<RankAnswers> all = answers_of_all(context, {job.rank, job.host, examine(checks, facts)});
    const std::vector<CheckResult> results = judged_together(checks, all);
    context.log.result(line.has(kJson.name) ? as_json(results, all) : as_text(results, all));
    return worst_of(results) == Verdict::failure ? ExitCode::failed : ExitCode::done;
  });
}

}  // namespace

Command doctor_command() {
  return {
      .name = "doctor",
      .summary = "Checks whether this machine, this job, this cluster is fit to run, and says what to do.",
      .usage = "ferula doctor [CONFIG.toml] [options]",
      .description =
          "Asks program, MPI, processors, memory, limits, files, clock, GPUs and SLURM, and measures the ranks'\n"
          "rates. Each check is ok, a warning or a failure, with what was found, what was expected and what to do.\n"
          "On several ranks it asks all of them and names the hosts that differ. With a configuration it also holds "
          "what\n"
          "its run will write against disk and quota. Ends with 1 after a failure.",
      .options = {kSet, kOnly, kDirectory, kFeatures, kMarkdown, kJson},
      .examples = {"ferula doctor", "ferula doctor --ranks 4", "ferula doctor my.toml --only files",
                   "srun --mpi=pmix ferula doctor", "ferula doctor --only gpu --only shared-memory --json",
                   "ferula doctor --only files --directory /scratch/runs", "ferula doctor --features"},
      .ranks = CommandRanks::all_ranks,
      .stop = CommandStop::ends,
      .run = run};
}

}  // namespace ferula
