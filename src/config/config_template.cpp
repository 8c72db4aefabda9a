// A preset is a text of TOML under the user's `--set`, so that it passes the same checks as a file.
#include "config/config_template.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "config/config_text.hpp"
#include "config/load_config.hpp"
#include "config/nearest_name.hpp"
#include "config/setting_value.hpp"

namespace ferula {
namespace {

using Lines = std::vector<std::string>;

const Lines kTraining = {
    "data.text = \"data.txt\"",
    "optimizer.type = \"AdamW\"",
    "optimizer.params.weight_decay = 0.1",
    "optimizer.params.betas = [0.9, 0.95]",
    "scheduler.type = \"WarmupCosineLR\"",
    "zero_optimization.stage = 2",
    "bf16.enabled = true",
};

Lines with_training(Lines lines) {
  lines.insert(lines.begin(), kTraining.begin(), kTraining.end());
  return lines;
}

const ConfigPreset& find_preset(const std::string& name) {
  std::vector<std::string> names;
  for (const ConfigPreset& preset : config_presets()) {
    if (preset.name == name) return preset;
    names.push_back(preset.name);
  }
  const auto nearest = nearest_name(name, names);
  throw ConfigError(fmt::format("expected a preset ({}), found '{}'{}", fmt::join(names, ", "), name,
                                nearest ? fmt::format("; did you mean '{}'?", *nearest) : ""));
}

/// A preset under the sets of the user, whose lines give way where the two contradict each other.
class YieldingPreset {
 public:
  YieldingPreset(const ConfigPreset& preset, std::span<const std::string> sets, const ResolveFacts& facts)
      : origin_("preset " + preset.name), lines_(preset.lines), sets_(sets), facts_(facts) {
    leave_batch_to_ranks();
  }

  /// Throws the mistakes of the first reading where no line is left that could give way.
  Config agreed() {
    const std::vector<ConfigMistake> first = mistakes();
    for (std::vector<ConfigMistake> left = first; !left.empty(); left = mistakes())
      if (!gives_way(left)) throw_if_any(first);
    return draft().loaded.config;
  }

 private:
  /// A user who says how many micro batches a step has means so on any number of ranks.
  void leave_batch_to_ranks() {
    const TrainingConfig wished = draft_config_text("", "", {}, sets_).loaded.config.training;
    if (wished.gradient_accumulation_steps.is_auto() || !wished.train_batch_size.is_auto()) return;
    if (draft().loaded.config.training.train_micro_batch_size_per_gpu.is_auto()) return;  // then it is all there is
    for (std::string& line : lines_)
      if (line.starts_with("training.train_batch_size ")) line.clear();
  }

  ConfigDraft draft() const {
    return draft_config_text(fmt::format("{}\n", fmt::join(lines_, "\n")), origin_, {}, sets_);
  }

  std::vector<ConfigMistake> mistakes() const {
    try {
      resolve_config(draft(), facts_);
    } catch (const ConfigMistakes& found) {
      return found.mistakes();
    }
    return {};
  }

  /// Takes back the first line that takes part in each mistake; false where none does.
  bool gives_way(const std::vector<ConfigMistake>& mistakes) {
    bool any = false;
    for (const ConfigMistake& mistake : mistakes) {
      std::vector<SourceLocation> places{mistake.where};
      for (const RelatedKey& other : mistake.related) places.push_back(other.where);
      const auto mine = std::find_if(places.begin(), places.end(),
                                     [this](const SourceLocation& place) { return place.origin == origin_; });
      if (mine != places.end()) any = take_back(lines_.at(static_cast<std::size_t>(mine->line - 1))) || any;
    }
    return any;
  }

  /// A warm-up that is too long becomes a tenth of the schedule, any other line a blank one: places stay as they are.
  bool take_back(std::string& line) const {
    const Config config = draft().loaded.config;
    const SchedulerParams& schedule = config.scheduler.params;
    const Auto<std::int64_t>& length =
        schedule.total_num_steps.is_auto() ? config.training.steps : schedule.total_num_steps;
    const bool is_warmup = line.starts_with("scheduler.params.warmup_num_steps");
    const bool too_long = is_warmup && !length.is_auto() && schedule.warmup_num_steps > length.get();
    const std::string shorter =
        too_long ? fmt::format("scheduler.params.warmup_num_steps = {}", std::max<std::int64_t>(1, length.get() / 10))
                 : "";
    return std::exchange(line, shorter) != shorter;
  }

  std::string origin_;
  Lines lines_;
  std::span<const std::string> sets_;
  const ResolveFacts& facts_;
};

}  // namespace

const std::vector<ConfigPreset>& config_presets() {
  static const std::vector<ConfigPreset> presets = {
      {"small", "a byte-level GPT-2 of 5 million parameters, for a laptop",
       with_training({"training.steps = 500", "training.train_batch_size = 32",
                      "training.train_micro_batch_size_per_gpu = 8", "training.evaluate_every = 100",
                      "scheduler.params.warmup_num_steps = 50", "checkpoint.every_steps = 100"})},
      {"gpt2-124m", "the shape of GPT-2 small",
       with_training({"model.layers = 12", "model.width = 768", "model.heads = 12", "model.context = 1024",
                      "model.vocabulary = 50304", "data.sequence_length = 1024", "training.steps = 10000",
                      "training.train_batch_size = 32", "training.train_micro_batch_size_per_gpu = 4",
                      "training.evaluate_every = 500", "optimizer.params.lr = 6e-4",
                      "scheduler.params.warmup_num_steps = 500", "checkpoint.every_steps = 500"})},
      {"llama-small", "a byte-level Llama of 20 million parameters with grouped key heads",
       with_training({"model.family = \"llama\"", "model.layers = 8", "model.width = 512", "model.heads = 8",
                      "model.kv_heads = 4", "model.context = 512", "data.sequence_length = 512",
                      "training.steps = 2000", "training.train_batch_size = 32",
                      "training.train_micro_batch_size_per_gpu = 4", "training.evaluate_every = 200",
                      "scheduler.params.warmup_num_steps = 200", "checkpoint.every_steps = 200"})},
  };
  return presets;
}

ConfigPreset preset_of(const LoadedConfig& loaded, std::string name) {
  ConfigPreset preset{.name = std::move(name), .help = "", .lines = {}};
  Config copy = loaded.config;
  for (const Setting& setting : settings_of(copy)) {
    const auto source = loaded.sources.find(setting.key);
    if (source == loaded.sources.end() || source->second.kind != SourceKind::file) continue;
    preset.lines.push_back(fmt::format("{} = {}", setting.key, value_text(setting)));
  }
  return preset;
}

Config config_from(const ConfigPreset& base, std::span<const std::string> sets, const ResolveFacts& facts) {
  return YieldingPreset(base, sets, facts).agreed();
}

std::string new_config_toml(const std::string& preset, std::span<const std::string> sets, const ResolveFacts& facts) {
  const ConfigPreset& chosen = find_preset(preset);
  return fmt::format("# {}: {}.\n# `ferula config keys` explains every key.\n\n{}", preset, chosen.help,
                     to_toml(config_from(chosen, sets, facts), TomlComments::help));
}

}  // namespace ferula
