// `ferula config`: the wizard; checks a configuration, shows its resolved values, lists all keys, writes a new file.
#include "app/action.hpp"
#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/compute_backend.hpp"
#include "app/model_setup.hpp"
#include "app/table.hpp"
#include "app/wizard_answers.hpp"
#include "app/wizard_command.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "config/config_reference.hpp"
#include "config/config_template.hpp"
#include "config/config_text.hpp"
#include "config/resolve_config.hpp"
#include "data/tokenizer.hpp"
#include "storage/file_system.hpp"

namespace ferula {
namespace {

constexpr OptionSpec kForRanks{"ranks", "N", "check, show, new: for N ranks; default: those that mpirun has started."};
constexpr OptionSpec kMarkdown{"markdown", "", "keys, questions: prints them for docs/."};
constexpr OptionSpec kPreset{"preset", "NAME", "new: the starting point."};
constexpr OptionSpec kToml{"toml", "", "show: prints a TOML file of the resolved values."};

/// Ranks to resolve for: as asked, else as many as mpirun or srun have started.
std::int64_t ranks_of(const CommandLine& line, const Invocation& invocation) {
  return line.integer(kForRanks.name, 1).value_or(invocation.ranks);
}

/// Without a look for GPUs where they are asked for: a configuration is often checked where it does not run.
DeviceFacts device_of(const RunConfig& run) {
  if (run.device == "cuda") return {.kind = run.device, .reason = {}, .has_native_bf16 = true};
  return device_facts(*choose_compute(run));
}

ResolveFacts facts_for(const Config& config, std::int64_t ranks) {
  return {.data_parallel_ranks = ranks,
          .tokenizer_vocabulary = make_tokenizer(config.data.tokenizer)->vocabulary(),
          .device = device_of(config.run),
          .tensor_names = tensor_names};
}

LoadedConfig resolved(const CommandLine& line, std::int64_t ranks) {
  const std::string& path = line.positional(1, "a configuration, e.g. `ferula config check my.toml`");
  line.expect_at_most(2);
  ConfigDraft draft = draft_config(path, ferula_environment(), line.all(kSet.name));
  const ResolveFacts facts = facts_for(draft.loaded.config, ranks);
  return resolve_config(std::move(draft), facts);
}

ExitCode check(const CommandLine& line, std::int64_t ranks) {
  const Config config = resolved(line, ranks).config;
  print_output("{}: no mistakes; on {} rank(s) a step of {} samples is {} micro batches of {} a rank\n",
               line.positionals()[1], ranks, config.training.train_batch_size.get(),
               config.training.gradient_accumulation_steps.get(), config.training.train_micro_batch_size_per_gpu.get());
  return ExitCode::done;
}

ExitCode show(const CommandLine& line, std::int64_t ranks) {
  const LoadedConfig loaded = resolved(line, ranks);
  if (line.has(kToml.name)) {
    print_output("{}", to_toml(loaded.config));
    return ExitCode::done;
  }
  std::size_t key_width = 0, value_width = 0;
  const std::vector<ConfigRow> rows = config_rows(loaded);
  for (const ConfigRow& row : rows) {
    key_width = std::max(key_width, row.key.size());
    value_width = std::max(value_width, row.value.size());
  }
  std::string text;
  for (const ConfigRow& row : rows)
    text += fmt::format("{:<{}}  {:<{}}  {}\n", row.key, key_width, row.value, value_width, row.source);
  write_output(text);
  return ExitCode::done;
}

ExitCode keys(const CommandLine& line) {
  line.expect_at_most(2);
  const std::string filter = line.positionals().size() == 2 ? line.positionals()[1] : "";
  const std::string text = line.has(kMarkdown.name) ? config_keys_markdown() : config_keys_text(filter);
  if (text.empty()) {
    const std::optional<std::string> near = nearest_key(filter);
    throw ConfigError(fmt::format("no key contains '{}'{}; `ferula config keys` lists all", filter,
                                  near ? fmt::format(", did you mean '{}'?", *near) : ""));
  }
  write_output(text);
  return ExitCode::done;
}

ExitCode write_new(const CommandLine& line, std::int64_t ranks) {
  const std::string& path = line.positional(1, "where to write, e.g. `ferula config new my.toml`");
  line.expect_at_most(2);
  const std::string preset = line.text(kPreset.name).value_or(config_presets().front().name);
  const Config defaults;
  const std::string text = new_config_toml(preset, line.all(kSet.name), facts_for(defaults, ranks));
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  if (files->exists(path))
    throw ConfigError(fmt::format("'{}' exists already; choose another name or remove it", path));
  write_file_atomically(*files, path, text, Replace::never);
  print_output("wrote {} (preset {}); next: ferula train {}{}\n", path, preset, path,
               line.has(kForRanks.name) ? fmt::format(" --ranks {}", ranks) : "");
  return ExitCode::done;
}

ExitCode questions(const CommandLine& line) {
  line.expect_at_most(1);
  write_output(line.has(kMarkdown.name) ? questions_markdown() : questions_text());
  return ExitCode::done;
}

std::vector<OptionSpec> options() {
  std::vector<OptionSpec> all{kSet, kForRanks, kToml, kMarkdown, kPreset};
  for (const OptionSpec& each : wizard_options()) all.push_back(each);
  return all;
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  if (line.positionals().empty()) return run_wizard(line);
  const std::string action =
      action_of(line, "config", {"check", "show", "keys", "new", "questions"}, {"import", "export"});
  if (action == "keys") return keys(line);
  if (action == "questions") return questions(line);
  const std::int64_t ranks = ranks_of(line, invocation);
  if (action == "check") return check(line, ranks);
  return action == "show" ? show(line, ranks) : write_new(line, ranks);
}

}  // namespace

Command config_command() {
  return {.name = "config",
          .summary = "Asks for a configuration and writes it; checks, shows and lists.",
          .usage = "ferula config [check|show|keys|new|questions] [CONFIG.toml] [--set key=value]... [options]",
          .description =
              "Alone it asks: at most nine questions on the common path, each with a usual answer, help (?), a way\n"
              "back (<) and an end that keeps the answers (q); what each does to the memory of a GPU is shown.\n"
              "questions    lists all that it may ask, with the names that --answers takes\n"
              "check FILE   reports every mistake at once: file, line, nearest name, fix\n"
              "show FILE    prints every key with its resolved value and where it comes from\n"
              "keys [WORD]  lists all keys, or those that contain WORD, with type, default and meaning\n"
              "new FILE     writes a commented configuration to start from",
          .options = options(),
          .examples = {"ferula config", "ferula config --answers answers.toml --yes --out my.toml",
                       "ferula config new my.toml --set training.steps=500", "ferula config check my.toml --ranks 4",
                       "ferula config show my.toml --set zero_optimization.stage=3", "ferula config keys zero"},
          .ranks = CommandRanks::one_process,
          .stop = CommandStop::ends,
          .run = run};
}

}  // namespace ferula
