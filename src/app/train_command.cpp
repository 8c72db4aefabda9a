// `ferula train`: composes a training run from its configuration and starts or resumes it.
#include <algorithm>

#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/model_setup.hpp"
#include "app/plan/fit_plan.hpp"
#include "app/run_measures.hpp"
#include "app/training_session.hpp"
#include "base/human.hpp"
#include "config/load_config.hpp"
#include "config/resolve_config.hpp"
#include "data/tokenizer.hpp"
#include "train/run_report.hpp"

namespace ferula {
namespace {

constexpr OptionSpec kResume{"resume", "auto|never|PATH",
                             "auto (default): go on from the newest good checkpoint of this run; never: start anew and "
                             "move an earlier run of this name aside; PATH: this very checkpoint."};
constexpr OptionSpec kDryRun{"dry-run", "", "Prints plan and layout and what each rank will hold; trains nothing."};

constexpr OptionSpec kMilestone{"milestone", "", "Ends with a box of stage, losses, memory and speed."};

/// Where the word of a shell that begins at `begin` ends.
std::size_t end_of_word(std::string_view command, std::size_t begin) {
  bool is_quoted = false;
  for (std::size_t at = begin; at < command.size(); ++at) {
    if (command[at] == '\'') is_quoted = !is_quoted;
    if (command[at] == '\\' && !is_quoted) ++at;
    if (command[at] == ' ' && !is_quoted) return at;
  }
  return command.size();
}

/// The command as typed, without `--resume …`: what goes on from where this run ends.
std::string continuing_command(std::string command) {
  constexpr std::string_view kOption = " --resume";
  const std::size_t option = command.find(kOption);
  if (option == std::string::npos) return command;
  std::size_t end = option + kOption.size();
  if (end < command.size() && (command[end] == ' ' || command[end] == '=')) end = end_of_word(command, end + 1);
  return command.erase(option, std::min(end, command.size()) - option);
}

/// What the environment says of the configuration, as it is typed before a command.
std::string settings_of_environment() {
  std::string typed;
  for (const auto& [name, value] : ferula_environment())
    if (name.find("__") != std::string::npos) typed += fmt::format("{}={} ", name, shell_word(value));
  return typed;
}

/// What is known of a run before any rank starts.
struct Preparation {
  LoadedConfig loaded;
  std::unique_ptr<ComputeBackend> compute;
  ResolveFacts facts;
  Config known;  // resolved, but for what depends on the data
};

/// Throws every mistake of the configuration.
Preparation prepare(const CommandLine& line, int ranks) {
  line.expect_at_most(1);
  const std::string& path = line.positional(0, "a configuration, e.g. configs/quickstart.toml");
  ConfigDraft draft = draft_config(path, ferula_environment(), line.all(kSet.name));
  std::unique_ptr<ComputeBackend> compute = choose_compute(draft.loaded.config.run);
  const ResolveFacts facts{.data_parallel_ranks = ranks,
                           .tokenizer_vocabulary = make_tokenizer(draft.loaded.config)->vocabulary(),
                           .device = device_facts(*compute),
                           .tensor_names = tensor_names};
  Config known = resolve_config(draft, facts).config;
  return {std::move(draft.loaded), std::move(compute), facts, std::move(known)};
}

std::string memory_remedy(const Preparation& prepared, int ranks) {
  const TransformerSpec spec = transformer_spec(prepared.known.model, prepared.facts.tokenizer_vocabulary);
  const bool is_apart = prepared.compute->kind() != "cpu";
  const std::string advice = offload_advice(is_apart ? offloadable_bytes(prepared.known, spec, ranks) : 0);
  return fmt::format(
      "A higher zero_optimization.stage, a smaller train_micro_batch_size_per_gpu or more ranks need less a rank{}{}",
      advice.empty() ? "" : "; ", advice);
}

void check(const CommandLine& line, int ranks) { prepare(line, ranks); }

/// Of the run's files, which rank 0 has written.
void say_milestone(RankContext& context, const Config& config) {
  if (context.mesh.rank() != 0) return;
  const RunMeasures measured = read_run_measures(context.files, run_directory(config.run));
  context.log.info(milestone_text(measured, config.data.sequence_length));
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  const Preparation prepared = prepare(line, invocation.ranks);
  const Config& known = prepared.known;
  const bool overlaps = known.zero_optimization.overlap_comm.get();
  const RankSettings ranks{.shape = mesh_shape(known.zero_optimization, invocation.ranks),
                           .mesh = mesh_options(known.debug),
                           .overlap = overlaps ? Overlap::on : Overlap::off,
                           .compute = prepared.compute.get(),
                           .sharing = known.run.share_gpu ? GpuSharing::allowed : GpuSharing::refused,
                           .memory_remedy = memory_remedy(prepared, invocation.ranks)};
  const std::string environment = settings_of_environment();
  const SessionRequest request{.loaded = prepared.loaded,
                               .facts = prepared.facts,
                               .resume = line.text(kResume.name).value_or("auto"),
                               .overlap = ranks.overlap,
                               .command = environment + invocation.command,
                               .continuing = environment + continuing_command(invocation.command)};
  return run_on_ranks(invocation, ranks, [&](RankContext& context) {
    if (line.has(kDryRun.name)) return plan_training(context, request);
    const ExitCode code = train(context, request);
    if (line.has(kMilestone.name) && code == ExitCode::done) say_milestone(context, known);
    return code;
  });
}

}  // namespace

Command train_command() {
  return {
      .name = "train",
      .summary = "Trains a model from a configuration; resumes by itself.",
      .usage = "ferula train CONFIG.toml [options]",
      .description =
          "Writes RUN = output_dir/name with checkpoints, metrics.jsonl, summary.json and log.txt. Started again, it\n"
          "goes on from the newest good checkpoint, on any number of ranks and at any ZeRO stage. SIGUSR1, SIGTERM\n"
          "and Ctrl-C save and exit with 75 (resume me), after Ctrl-C with 130.",
      .options = {kSet, kResume, kDryRun, kMilestone},
      .examples = {"ferula train configs/quickstart.toml --ranks 2",
                   "ferula train my.toml --ranks 4 --set zero_optimization.stage=3",
                   "ferula train my.toml --resume runs/my/checkpoints/step-00001000",
                   "ferula train my.toml --ranks 8 --dry-run", "mpirun -n 4 ferula train my.toml"},
      .ranks = CommandRanks::all_ranks,
      .stop = CommandStop::saves,
      .run = run,
      .check = check};
}

}  // namespace ferula
