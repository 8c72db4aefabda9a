// `ferula config`: the wizard; checks a configuration, shows its resolved values, lists all keys, writes a new file,
// and translates those of other programs.
#include <algorithm>
#include <array>
#include <utility>

#include "app/action.hpp"
#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/compute_backend.hpp"
#include "app/config_interchange.hpp"
#include "app/model_setup.hpp"
#include "app/table.hpp"
#include "app/wizard/wizard_answers.hpp"
#include "app/wizard_command.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "config/config_reference.hpp"
#include "config/config_template.hpp"
#include "config/config_text.hpp"
#include "config/resolve_config.hpp"
#include "data/tokenizer.hpp"
#include "interchange/key_mapping.hpp"

namespace ferula {
namespace {

constexpr OptionSpec kForRanks{"ranks", "N", "for N ranks; default: those that mpirun has started."};
constexpr OptionSpec kMarkdown{"markdown", "", "keys, questions: prints them for docs/."};
constexpr OptionSpec kElsewhere{"elsewhere", "", "keys: prints the tables of docs/coming_from.md."};
constexpr OptionSpec kToml{"toml", "", "show: prints a TOML file of the resolved values."};

/// A wish of `config new` that is a key of the file.
struct Shortcut {
  OptionSpec option;
  std::string_view key;
  std::string_view value;  // of a switch; empty: what the user gives
};
constexpr std::array kShortcuts{
    Shortcut{{"stage", "N", "new: zero_optimization.stage, 0 to 3."}, "zero_optimization.stage", ""},
    Shortcut{{"bf16", "", "new: bf16.enabled."}, "bf16.enabled", "true"},
    Shortcut{{"fp16", "", "new: fp16.enabled."}, "fp16.enabled", "true"},
    Shortcut{{"train-batch-size", "N", "new: samples a step."}, "training.train_batch_size", ""},
    Shortcut{{"micro-batch-size", "N", "new: samples that a rank computes at once."},
             "training.train_micro_batch_size_per_gpu",
             ""},
    Shortcut{{"accumulation", "N", "new: micro batches a step."}, "training.gradient_accumulation_steps", ""},
    Shortcut{{"offload-optimizer", "DEVICE", "new: zero_optimization.offload_optimizer.device."},
             "zero_optimization.offload_optimizer.device",
             ""},
    Shortcut{{"offload-param", "DEVICE", "new: zero_optimization.offload_param.device."},
             "zero_optimization.offload_param.device",
             ""},
};

/// The shortcuts as for `--set`, below the `--set` of the user.
std::vector<std::string> wishes(const CommandLine& line) {
  std::vector<std::string> sets;
  for (const Shortcut& each : kShortcuts)
    if (line.has(each.option.name))
      sets.push_back(fmt::format(
          "{}={}", each.key, each.value.empty() ? line.text(each.option.name).value_or("") : std::string(each.value)));
  const std::vector<std::string> own = line.all(kSet.name);
  sets.insert(sets.end(), own.begin(), own.end());
  return sets;
}

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
          .tokenizer_vocabulary = make_tokenizer(config)->vocabulary(),
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
  if (line.has(kElsewhere.name)) {
    write_output(coming_from_tables());
    return ExitCode::done;
  }
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
  const std::vector<std::string> sets = wishes(line);
  const Config wished =
      draft_config_text("", "", {}, sets).loaded.config;  // its mistakes come with those of the preset
  write_new_file(path, new_config_toml(preset, sets, facts_for(wished, ranks)));
  print_output("wrote {} (preset {}); next: ferula train {}{}\n", path, preset, shell_word(path),
               line.has(kForRanks.name) ? fmt::format(" --ranks {}", ranks) : "");
  return ExitCode::done;
}

ExitCode questions(const CommandLine& line) {
  line.expect_at_most(1);
  write_output(line.has(kMarkdown.name) ? questions_markdown() : questions_text());
  return ExitCode::done;
}

std::vector<OptionSpec> options() {
  std::vector<OptionSpec> all{kSet, kForRanks, kToml, kMarkdown, kElsewhere, kPreset, kFormat};
  for (const Shortcut& each : kShortcuts) all.push_back(each.option);
  for (const OptionSpec& each : wizard_options()) all.push_back(each);
  return all;
}

/// What an action takes; the wizard is the one without a name.
std::vector<OptionSpec> options_of(std::string_view action) {
  if (action.empty()) return wizard_options();
  if (action == "keys") return {kMarkdown, kElsewhere};
  if (action == "questions") return {kMarkdown};
  std::vector<OptionSpec> taken{kSet, kForRanks};
  if (action == "show") taken.push_back(kToml);
  if (action == "export") taken.push_back(kFormat);
  if (action == "new" || action == "import") taken.push_back(kPreset);
  if (action == "new")
    for (const Shortcut& each : kShortcuts) taken.push_back(each.option);
  return taken;
}

bool is_among(const std::vector<OptionSpec>& options, std::string_view name) {
  return std::any_of(options.begin(), options.end(), [&](const OptionSpec& each) { return each.name == name; });
}

void refuse_options_of_others(const CommandLine& line, std::string_view action) {
  const std::vector<OptionSpec> taken = options_of(action);
  for (const OptionSpec& option : options()) {
    if (is_among(taken, option.name) || !line.has(option.name)) continue;
    if (action.empty() && is_among(options_of("new"), option.name))
      throw ConfigError(
          fmt::format("--{}: the wizard takes answers, not this option: give --answers FILE, change the file "
                      "afterwards, or use `ferula config new FILE --{} …`",
                      option.name, option.name));
    throw ConfigError(fmt::format("--{} is not for {}; `ferula config --help` says what is", option.name,
                                  action.empty() ? "the wizard" : fmt::format("`ferula config {}`", action)));
  }
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  if (line.positionals().empty()) {
    refuse_options_of_others(line, "");
    return run_wizard(line);
  }
  const std::string action =
      action_of(line, "config", {"check", "show", "keys", "new", "questions", "import", "export"}, {});
  refuse_options_of_others(line, action);
  if (action == "keys") return keys(line);
  if (action == "questions") return questions(line);
  if (action == "import") return import_foreign(line, line.integer(kForRanks.name, 1), facts_for);
  const std::int64_t ranks = ranks_of(line, invocation);
  if (action == "check") return check(line, ranks);
  if (action == "export") return export_foreign(line, ranks, facts_for);
  return action == "show" ? show(line, ranks) : write_new(line, ranks);
}

}  // namespace

Command config_command() {
  return {.name = "config",
          .summary = "Asks for a configuration and writes it; checks, shows, lists and translates.",
          .usage =
              "ferula config [check|show|keys|new|questions|import|export] [CONFIG.toml] [--set key=value]... "
              "[options]",
          .description =
              "Alone it asks: at most nine questions on the common path, each with a usual answer, help (?), a way\n"
              "back (<) and an end that keeps the answers (q); what each does to the memory of a GPU is shown.\n"
              "questions    lists all that it may ask, with the names that --answers takes\n"
              "check FILE   reports every mistake at once: file, line, nearest name, fix\n"
              "show FILE    prints every key with its resolved value and where it comes from\n"
              "keys [WORD]  lists all keys, or those that contain WORD, with type, default and meaning\n"
              "new FILE     writes a commented configuration to start from\n"
              "import FILE [TO.toml]  turns DeepSpeed's JSON, accelerate's YAML or that of a script into TOML\n"
              "export FILE [TO.json]  writes what DeepSpeed has a key for as its JSON",
          .options = options(),
          .examples = {"ferula config", "ferula config --answers answers.toml --yes --out my.toml",
                       "ferula config new my.toml --set training.steps=500", "ferula config check my.toml --ranks 4",
                       "ferula config show my.toml --set zero_optimization.stage=3", "ferula config keys zero",
                       "ferula config new my.toml --stage 3 --bf16", "ferula config import ds_config.json my.toml",
                       "ferula config export my.toml ds_config.json"},
          .ranks = CommandRanks::one_process,
          .stop = CommandStop::ends,
          .run = run};
}

}  // namespace ferula
