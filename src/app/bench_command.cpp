// `ferula bench`: what the machine can do, as the ceiling against which a run is to be judged.
#include <algorithm>
#include <boost/json.hpp>

#include "app/bench_probes.hpp"
#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/table.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kMostMegabytes = 65536;  // a slip of the hand, beyond: 64 GiB a tensor
constexpr std::int64_t kMostRepetitions = 1'000'000;

constexpr OptionSpec kOnly{"only", "GROUP", "compute, memory, collectives, disk or training; may be given many times."};
constexpr OptionSpec kMegabytes{"megabytes", "N", "Size of a tensor and of a file, default 64."};
constexpr OptionSpec kRepetitions{"repetitions", "N", "Timed repetitions of each probe, default 9."};
constexpr OptionSpec kDirectory{"directory", "DIR", "Where the disk probe writes, default: here."};

using Probe = std::vector<ProbeResult> (*)(RankContext&, const ProbeSettings&);
struct ProbeGroup {
  std::string_view name;
  Probe probe;
};
constexpr std::array<ProbeGroup, 5> kGroups{{{"compute", probe_compute},
                                             {"memory", probe_memory},
                                             {"collectives", probe_collectives},
                                             {"disk", probe_disk},
                                             {"training", probe_training}}};

std::vector<ProbeGroup> wanted_groups(const CommandLine& line) {
  const std::vector<std::string> only = line.all(kOnly.name);
  for (const std::string& word : only)
    if (std::none_of(kGroups.begin(), kGroups.end(), [&](const ProbeGroup& group) { return group.name == word; }))
      throw ConfigError(fmt::format("--only expects compute, memory, collectives, disk or training, found '{}'", word));
  std::vector<ProbeGroup> wanted;
  for (const ProbeGroup& group : kGroups)
    if (only.empty() || std::find(only.begin(), only.end(), group.name) != only.end()) wanted.push_back(group);
  return wanted;
}

/// The share of its ceiling that a probe reaches; absent where it is a ceiling itself, or that was not probed.
std::optional<double> share_of_ceiling(const ProbeResult& result, const std::vector<ProbeResult>& results) {
  for (const ProbeResult& each : results)
    if (!result.ceiling.empty() && each.name == result.ceiling) return result.median() / each.median();
  return std::nullopt;
}

std::string ceiling_in_words(const ProbeResult& result, const std::vector<ProbeResult>& results) {
  const std::optional<double> share = share_of_ceiling(result, results);
  return share ? fmt::format("{:.0f} % of {}", 100.0 * *share, result.ceiling) : std::string();
}

std::string as_table(const RankContext& context, const std::vector<ProbeResult>& results) {
  Table table({"probe", "median", "lowest", "highest", "unit", "of its ceiling"});
  for (const ProbeResult& result : results)
    table.add({fmt::format("{}: {}", result.group, result.name), fmt::format("{:.1f}", result.median()),
               fmt::format("{:.1f}", result.rates.front()), fmt::format("{:.1f}", result.rates.back()), result.unit,
               ceiling_in_words(result, results)});
  return fmt::format("{} ranks, {} threads each, {} ({})\n\n{}\nAll ranks at once. Collectives: bus bandwidth.",
                     context.mesh.size(), context.threads, context.mesh.host(), context.mesh.world().kind(),
                     table.text());
}

std::string as_json(const RankContext& context, const std::vector<ProbeResult>& results) {
  boost::json::array probes;
  for (const ProbeResult& result : results) {
    const std::optional<double> share = share_of_ceiling(result, results);
    probes.push_back({{"group", result.group},
                      {"name", result.name},
                      {"unit", result.unit},
                      {"median", result.median()},
                      {"lowest", result.rates.front()},
                      {"highest", result.rates.back()},
                      {"of_ceiling", share ? boost::json::value(*share) : nullptr}});
  }
  return boost::json::serialize(boost::json::object{{"ranks", context.mesh.size()},
                                                    {"threads", context.threads},
                                                    {"host", context.mesh.host()},
                                                    {"communicator", context.mesh.world().kind()},
                                                    {"probes", probes}});
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  line.expect_at_most(0);
  const std::vector<ProbeGroup> groups = wanted_groups(line);
  const ProbeSettings settings{
      .bytes = line.integer(kMegabytes.name, 1, kMostMegabytes).value_or(64) << 20,
      .repetitions = static_cast<int>(line.integer(kRepetitions.name, 1, kMostRepetitions).value_or(9)),
      .directory = line.text(kDirectory.name).value_or(".")};
  const std::unique_ptr<ComputeBackend> compute = choose_compute({});
  const RankSettings ranks{
      .shape = {.shard = invocation.ranks}, .compute = compute.get(), .sharing = GpuSharing::allowed};
  return run_on_ranks(invocation, ranks, [&](RankContext& context) {
    std::vector<ProbeResult> results;
    try {
      for (const ProbeGroup& group : groups)
        for (ProbeResult& result : group.probe(context, settings)) results.push_back(std::move(result));
    } catch (const CapacityError& error) {
      throw CapacityError(fmt::format("--megabytes {}: choose a smaller one; {}", settings.bytes >> 20, error.what()));
    }
    context.log.result(line.has(kJson.name) ? as_json(context, results) : as_table(context, results));
    return ExitCode::done;
  });
}

}  // namespace

Command bench_command() {
  return {
      .name = "bench",
      .summary = "Measures computation, memory, collectives and disk of this machine, and how close training comes.",
      .usage = "ferula bench [options]",
      .description =
          "Each probe runs on all ranks at once: two warm-ups, then the median of the repetitions with the\n"
          "lowest and highest. The training probe trains a small GPT-2 at stage 0 on all ranks, a batch each, and\n"
          "shows what share of the probed matrix products and of copying memory that reaches. Rates drift on a\n"
          "shared machine: compare only what ran in one call.",
      .options = {kOnly, kMegabytes, kRepetitions, kDirectory, kJson},
      .examples = {"ferula bench", "ferula bench --ranks 2 --only collectives --megabytes 16",
                   "ferula bench --only disk --directory /scratch --json"},
      .ranks = CommandRanks::all_ranks,
      .stop = CommandStop::ends,
      .run = run};
}

}  // namespace ferula
