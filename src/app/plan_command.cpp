// `ferula plan`: what each rank will hold and send, how long it takes, whether it fits, and what would.
#include <algorithm>

#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/plan/estimator_tables.hpp"
#include "app/plan/plan_page.hpp"
#include "app/plan/scaling.hpp"
#include "base/narrow.hpp"
#include "base/output.hpp"

namespace ferula {
namespace {

constexpr OptionSpec kForRanks{"ranks", "N",
                               "Plans for N ranks; default: those of the job of [slurm] profile, or of mpirun."};
constexpr OptionSpec kRanksPerNode{"ranks-per-node", "N", "Ranks on one node, default: the job's, or 8."};
constexpr OptionSpec kCard{"card", "NAME|GIB",
                           "Plans for GPUs: of this name (a5000, h100, …) or memory; may be given many times."};
constexpr OptionSpec kPartition{"partition", "NAME", "Plans for a partition of the cluster's profile."};
constexpr OptionSpec kFormat{"format", "deepspeed|accelerate",
                             "Prints the estimate of these programs for the model, by their formulas."};
constexpr OptionSpec kScaling{"scaling", "N,N,…",
                              "Foresees a step on these numbers of ranks, with as much work for each of them."};
constexpr OptionSpec kNetwork{"network", "GB/S", "With --scaling: what a node sends to others a second."};
constexpr std::int64_t kMostRanks = 65536;

std::optional<int> count_of(const CommandLine& line, const OptionSpec& option) {
  const std::optional<std::int64_t> given = line.integer(option.name, 1, kMostRanks);
  return given ? std::optional(static_cast<int>(*given)) : std::nullopt;
}

/// Where users of other programs look for their numbers.
std::string foreign_estimate(const Plan& plan, const std::string& format) {
  const ModelSizes sizes = model_sizes(plan.spec);
  if (format == "accelerate") return accelerate_table(sizes, plan.config.run.name);
  if (format != "deepspeed")
    throw ConfigError(fmt::format("--format: expected deepspeed or accelerate, found '{}'", format));
  const int per_node = std::min(plan.ranks, plan.ranks_on_node);
  return deepspeed_tables(sizes,
                          {.nodes = static_cast<int>(ceil_div(plan.ranks, per_node)), .gpus_per_node = per_node});
}

/// What is given as a rate above 0.
std::optional<double> rate_of(const CommandLine& line, const OptionSpec& option) {
  const std::optional<double> rate = line.number(option.name);
  if (rate && *rate <= 0.0)
    throw ConfigError(fmt::format("--{}: expected a number above 0, found {:g}", option.name, *rate));
  return rate;
}

void print_scaling(const CommandLine& line, const Plan& plan, const std::string& ranks) {
  const ScalingForecast forecast =
      foresee_scaling(plan, {.ranks = scaling_ranks(ranks), .network_gigabytes = rate_of(line, kNetwork)});
  print_output("{}", line.has(kJson.name) ? scaling_json(forecast) + "\n" : scaling_page(plan, forecast));
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  const std::string& path = line.positional(0, "a configuration, e.g. `ferula plan my.toml --ranks 4`");
  line.expect_at_most(1);
  const Plan plan = make_plan({.path = path,
                               .sets = line.all(kSet.name),
                               .cards = line.all(kCard.name),
                               .partition = line.text(kPartition.name).value_or(""),
                               .ranks = count_of(line, kForRanks),
                               .ranks_on_node = count_of(line, kRanksPerNode),
                               .launched_ranks = invocation.ranks});
  if (const auto ranks = line.text(kScaling.name)) {
    print_scaling(line, plan, *ranks);
    return ExitCode::done;
  }
  if (line.has(kNetwork.name)) throw ConfigError("--network says how nodes are connected for --scaling N,N,…: add it");
  if (const auto format = line.text(kFormat.name)) {
    if (line.has(kJson.name)) throw ConfigError("--format prints a table of its own: use it without --json");
    print_output("{}", foreign_estimate(plan, *format));
    return ExitCode::done;
  }
  print_output("{}", line.has(kJson.name) ? plan_json(plan) + "\n" : plan_page(plan));
  return does_not_fit(plan) ? ExitCode::does_not_fit : ExitCode::done;
}

}  // namespace

Command plan_command() {
  return {.name = "plan",
          .summary = "Foresees memory, traffic and time of a run, and on how many ranks it fits.",
          .usage = "ferula plan CONFIG.toml [options]",
          .description =
              "Memory by kind, traffic and time of a rank at each ZeRO stage and for neighbours of the configuration,\n"
              "what `generate` takes, whether it fits, and the fewest GPUs of each card that hold it. Nothing is\n"
              "started. Memory is what a run counts (see its summary); of a GPU's, 1 GiB is set aside for CUDA and\n"
              "NCCL. Times follow from what runs under run.output_dir have measured; without one the page names its\n"
              "assumption. With [slurm] profile the plan is for the job, its cards and its limit of time; with --card\n"
              "for GPUs, whatever this host has. Ends with 3 where the run does not fit this host, or the job's cards.",
          .options = {kSet, kForRanks, kRanksPerNode, kCard, kPartition, kScaling, kNetwork, kFormat, kJson},
          .examples = {"ferula plan configs/gpt2-124m.toml --ranks 4", "ferula plan my.toml --card a5000",
                       "ferula plan my.toml --set slurm.profile=prometheus --partition a6000",
                       "ferula plan my.toml --ranks 4 --format deepspeed",
                       "ferula plan my.toml --card h100 --ranks 8 --scaling 8,64,512",
                       "ferula plan my.toml --ranks 16 --ranks-per-node 8 --card 24 --json"},
          .ranks = CommandRanks::one_process,
          .stop = CommandStop::ends,
          .run = run};
}

}  // namespace ferula
