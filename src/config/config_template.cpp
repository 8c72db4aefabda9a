// A preset is a list of `--set` arguments, so that it passes the same checks as a file.
#include "config/config_template.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "config/config_text.hpp"
#include "config/load_config.hpp"
#include "config/nearest_name.hpp"

namespace ferula {
namespace {

const std::vector<std::string> kTrainingSets = {
    "data.text=data.txt",
    "optimizer.type=AdamW",
    "optimizer.params.weight_decay=0.1",
    "optimizer.params.betas=[0.9, 0.95]",
    "scheduler.type=WarmupCosineLR",
    "zero_optimization.stage=2",
    "bf16.enabled=true",
};

std::vector<std::string> with_training_sets(std::vector<std::string> sets) {
  sets.insert(sets.begin(), kTrainingSets.begin(), kTrainingSets.end());
  return sets;
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

}  // namespace

const std::vector<ConfigPreset>& config_presets() {
  static const std::vector<ConfigPreset> presets = {
      {"small", "a byte-level GPT-2 of 5 million parameters, for a laptop",
       with_training_sets({"training.steps=500", "training.train_batch_size=32",
                           "training.train_micro_batch_size_per_gpu=8", "training.evaluate_every=100",
                           "scheduler.params.warmup_num_steps=50", "checkpoint.every_steps=100"})},
      {"gpt2-124m", "the shape of GPT-2 small",
       with_training_sets({"model.layers=12", "model.width=768", "model.heads=12", "model.context=1024",
                           "model.vocabulary=50304", "data.sequence_length=1024", "training.steps=10000",
                           "training.train_batch_size=32", "training.train_micro_batch_size_per_gpu=4",
                           "training.evaluate_every=500", "optimizer.params.lr=6e-4",
                           "scheduler.params.warmup_num_steps=500", "checkpoint.every_steps=500"})},
      {"llama-small", "a byte-level Llama of 20 million parameters with grouped key heads",
       with_training_sets({"model.family=llama", "model.layers=8", "model.width=512", "model.heads=8",
                           "model.kv_heads=4", "model.context=512", "data.sequence_length=512", "training.steps=2000",
                           "training.train_batch_size=32", "training.train_micro_batch_size_per_gpu=4",
                           "training.evaluate_every=200", "scheduler.params.warmup_num_steps=200",
                           "checkpoint.every_steps=200"})},
  };
  return presets;
}

std::string new_config_toml(const std::string& preset, std::span<const std::string> sets) {
  std::vector<std::string> all = find_preset(preset).sets;
  all.insert(all.end(), sets.begin(), sets.end());
  const LoadedConfig loaded = load_config_text("", "preset " + preset, {}, all);
  return fmt::format("# {}: {}.\n# `ferula config keys` explains every key.\n\n{}", preset, find_preset(preset).help,
                     to_toml(loaded.config, TomlComments::help));
}

}  // namespace ferula
