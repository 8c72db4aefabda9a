// The rows, then the conversions of values.
#include "interchange/key_mapping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <map>
#include <utility>

#include "config/foreign_names.hpp"
#include "config/setting.hpp"

namespace ferula {
namespace {

constexpr Dialect kDeepspeed = Dialect::deepspeed;
constexpr Dialect kAccelerate = Dialect::accelerate;
constexpr Dialect kOther = Dialect::other;

std::vector<KeyMapping> deepspeed_rows() {
  return {
      {kDeepspeed, "train_batch_size", "training.train_batch_size"},
      {kDeepspeed, "train_micro_batch_size_per_gpu", "training.train_micro_batch_size_per_gpu"},
      {kDeepspeed, "gradient_accumulation_steps", "training.gradient_accumulation_steps"},
      {kDeepspeed, "gradient_clipping", "training.gradient_clipping", Conversion::same, "0.0"},
      {kDeepspeed, "optimizer.type", "optimizer.type", Conversion::choice},
      {kDeepspeed, "optimizer.params.lr", "optimizer.params.lr", Conversion::same, "0.001"},
      {kDeepspeed, "optimizer.params.betas", "optimizer.params.betas", Conversion::same, "[0.9, 0.999]"},
      {kDeepspeed, "optimizer.params.eps", "optimizer.params.eps", Conversion::same, "1e-08"},
      {kDeepspeed, "optimizer.params.weight_decay", "optimizer.params.weight_decay", Conversion::same, "0.0"},
      {kDeepspeed, "optimizer.params.momentum", "optimizer.params.momentum", Conversion::same, "0.0"},
      {kDeepspeed, "optimizer.params.nesterov", "optimizer.params.nesterov", Conversion::same, "false"},
      {kDeepspeed, "optimizer.params.adam_w_mode", "optimizer.params.adam_w_mode", Conversion::same, "true"},
      {kDeepspeed, "optimizer.params.bias_correction", "optimizer.params.bias_correction", Conversion::same, "true"},
      {kDeepspeed, "scheduler.type", "scheduler.type", Conversion::choice, "\"constant\""},
      {kDeepspeed, "scheduler.params.warmup_min_lr", "scheduler.params.warmup_min_lr", Conversion::same, "0.0"},
      {kDeepspeed, "scheduler.params.warmup_max_lr", "scheduler.params.warmup_max_lr", Conversion::same, "0.001"},
      {kDeepspeed, "scheduler.params.warmup_num_steps", "scheduler.params.warmup_num_steps", Conversion::same, "1000"},
      {kDeepspeed, "scheduler.params.warmup_type", "scheduler.params.warmup_type", Conversion::same, "\"log\""},
      {kDeepspeed, "scheduler.params.total_num_steps", "scheduler.params.total_num_steps"},
      {kDeepspeed, "scheduler.params.warmup_min_ratio", "scheduler.params.warmup_min_ratio", Conversion::same, "0.0"},
      {kDeepspeed, "scheduler.params.cos_min_ratio", "scheduler.params.cos_min_ratio", Conversion::same, "0.0001"},
      {kDeepspeed, "bf16.enabled", "bf16.enabled", Conversion::same, "false"},
      {kDeepspeed, "bfloat16.enabled", "bf16.enabled", Conversion::same, "", true},
      {kDeepspeed, "zero_optimization.stage", "zero_optimization.stage", Conversion::same, "0"},
      {kDeepspeed, "zero_optimization.mics_shard_size", "zero_optimization.shard_size", Conversion::shard_group},
      {kDeepspeed, "zero_optimization.overlap_comm", "zero_optimization.overlap_comm"},
      {kDeepspeed, "zero_optimization.stage3_prefetch_bucket_size", "zero_optimization.stage3_prefetch_bucket_size"},
      {kDeepspeed, "zero_optimization.prefetch_bucket_size", "zero_optimization.stage3_prefetch_bucket_size",
       Conversion::same, "", true},
      {kDeepspeed, "zero_optimization.stage3_param_persistence_threshold",
       "zero_optimization.stage3_param_persistence_threshold"},
      {kDeepspeed, "zero_optimization.param_persistence_threshold",
       "zero_optimization.stage3_param_persistence_threshold", Conversion::same, "", true},
      {kDeepspeed, "zero_optimization.offload_optimizer.device", "zero_optimization.offload_optimizer.device",
       Conversion::choice},
      {kDeepspeed, "zero_optimization.offload_optimizer.pin_memory", "zero_optimization.offload_optimizer.pin_memory"},
      {kDeepspeed, "zero_optimization.cpu_offload", "zero_optimization.offload_optimizer.device", Conversion::offload,
       "", true},
      {kDeepspeed, "zero_optimization.cpu_offload_use_pin_memory", "zero_optimization.offload_optimizer.pin_memory",
       Conversion::same, "", true},
      {kDeepspeed, "comms_logger.enabled", "comms_logger.enabled"},
      {kDeepspeed, "comms_logger.verbose", "comms_logger.verbose"},
      {kDeepspeed, "comms_logger.prof_ops", "comms_logger.prof_ops", Conversion::choice},
  };
}

std::vector<KeyMapping> other_rows() {
  return {
      {kAccelerate, "deepspeed_config.zero_stage", "zero_optimization.stage", Conversion::same, "0"},
      {kAccelerate, "deepspeed_config.gradient_accumulation_steps", "training.gradient_accumulation_steps"},
      {kAccelerate, "deepspeed_config.gradient_clipping", "training.gradient_clipping"},
      {kAccelerate, "deepspeed_config.offload_optimizer_device", "zero_optimization.offload_optimizer.device",
       Conversion::choice},
      {kAccelerate, "fsdp_config.fsdp_sharding_strategy", "zero_optimization.stage", Conversion::fsdp_strategy},
      {kAccelerate, "fsdp_config.fsdp_reshard_after_forward", "zero_optimization.stage", Conversion::fsdp_reshard},
      {kAccelerate, "mixed_precision", "bf16.enabled", Conversion::precision, "false"},
      {kAccelerate, "use_cpu", "run.device", Conversion::on_cpu},
      {kAccelerate, "debug", "debug.check_collectives"},

      {kOther, "bf16", "bf16.enabled"},
      {kOther, "batch_size", "training.train_micro_batch_size_per_gpu"},
      {kOther, "num_epochs", "training.epochs"},
      {kOther, "epochs", "training.epochs"},
      {kOther, "model.name", "model.path", Conversion::model_folder},
  };
}

/// How the values of renamed keys (foreign_names.cpp) change.
Conversion conversion_of_name(const std::string& name) {
  static const std::map<std::string_view, Conversion> kOf = {
      {"adam_beta1", Conversion::first_beta},
      {"adam_beta2", Conversion::second_beta},
      {"mixed_precision", Conversion::precision},
      {"torch_dtype", Conversion::precision},
      {"dtype", Conversion::precision},
      {"use_cpu", Conversion::on_cpu},
      {"no_cuda", Conversion::on_cpu},
      {"optim", Conversion::optimizer_name},
      {"optimizer_type", Conversion::optimizer_name},
      {"lr_scheduler_type", Conversion::choice},
      {"lr_scheduler", Conversion::choice},
      {"model_type", Conversion::choice},
      {"arch", Conversion::choice},
      {"architecture", Conversion::choice},
      {"gres", Conversion::gres},
      {"offload_optimizer", Conversion::offload},
      {"offload_optimizer_device", Conversion::choice},
      {"cpu_offload", Conversion::offload},
      {"model_name_or_path", Conversion::model_folder},
      {"pretrained_model_name_or_path", Conversion::model_folder},
      {"pretrained", Conversion::model_folder},
      {"model_name", Conversion::model_folder},
      {"validation_split_percentage", Conversion::percent}};
  const auto found = kOf.find(name);
  return found == kOf.end() ? Conversion::same : found->second;
}

std::vector<KeyMapping> all_mappings() {
  std::vector<KeyMapping> mappings = deepspeed_rows();
  const std::vector<KeyMapping> others = other_rows();
  mappings.insert(mappings.end(), others.begin(), others.end());
  for (const ForeignName& name : foreign_names())
    if (!name.ours.empty())
      mappings.push_back({kOther, name.refused.key, name.ours.front(), conversion_of_name(name.refused.key)});
  return mappings;
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

/// A word, or a truth or number as the word that it was written as.
std::string word_of(const TomlNode& node) {
  if (const auto* text = std::get_if<std::string>(&node.value)) return lower_case(*text);
  if (const auto* truth = std::get_if<bool>(&node.value)) return *truth ? "true" : "no";
  if (const auto* number = std::get_if<std::int64_t>(&node.value)) return std::to_string(*number);
  return "";
}

TomlNode with_value(const TomlNode& node, decltype(TomlNode::value) value) {
  TomlNode changed = node;
  changed.value = std::move(value);
  return changed;
}

Converted known_word(const TomlNode& node, const std::vector<std::string>& words, const std::string& meant) {
  for (const std::string& word : words)
    if (lower_case(word) == meant) return {.value = with_value(node, word)};
  return {.refused =
              fmt::format("has {}, which does not exist here; there are: {}", node.in_words(), fmt::join(words, ", "))};
}

std::vector<std::string> choices_of(const std::string& ours) {
  Config any;
  for (const Setting& setting : settings_of(any))
    if (setting.key == ours) return setting.limits.choices;
  return {};
}

/// One word, or a list of which every word is known.
Converted chosen(const std::string& ours, const TomlNode& node) {
  const std::vector<std::string> choices = choices_of(ours);
  if (std::holds_alternative<std::string>(node.value)) return known_word(node, choices, word_of(node));
  if (const auto* list = std::get_if<TomlNode::List>(&node.value))
    for (const TomlNode& each : *list)
      if (Converted word = known_word(each, choices, word_of(each)); !word.value) return word;
  return {.value = node};
}

Converted optimizer_named(const TomlNode& node) {
  std::string word = word_of(node);
  if (word == "adamw_torch" || word == "adamw_hf" || word == "adamw_torch_fused") word = "adamw";
  if (word == "lion_32bit") word = "lion";
  return known_word(node, {"AdamW", "Adam", "SGD", "Lion"}, word);
}

Converted precision(const TomlNode& node) {
  const std::string word = word_of(node);
  if (word == "bf16" || word == "bfloat16" || word == "torch.bfloat16") return {.value = with_value(node, true)};
  if (word == "no" || word == "fp32" || word == "float32" || word == "torch.float32")
    return {.value = with_value(node, false)};
  if (word == "auto") return {.value = with_value(node, std::string("auto"))};
  return {.refused = fmt::format("has {}, but values are f32 or bf16; bf16.enabled chooses", node.in_words())};
}

Converted fsdp_strategy(const TomlNode& node) {
  static const std::map<std::string_view, std::int64_t> kStages = {
      {"full_shard", 3}, {"1", 3}, {"shard_grad_op", 2}, {"2", 2}, {"no_shard", 0}, {"3", 0}};
  if (const auto stage = kStages.find(word_of(node)); stage != kStages.end())
    return {.value = with_value(node, stage->second)};
  return {.refused = fmt::format("has {}: choose zero_optimization.stage, and shard_size for the ranks of a node",
                                 node.in_words())};
}

Converted shard_group(const TomlNode& node) {
  const auto* ranks = std::get_if<std::int64_t>(&node.value);
  if (ranks == nullptr || *ranks > 0) return {.value = node};
  return {.value = with_value(node, std::string("all"))};
}

Converted from_truth(const TomlNode& node, decltype(TomlNode::value) yes, decltype(TomlNode::value) no) {
  const auto* truth = std::get_if<bool>(&node.value);
  return {.value = truth == nullptr ? node : with_value(node, *truth ? std::move(yes) : std::move(no))};
}

Converted offload_device(const std::string& ours, const TomlNode& node) {
  if (std::holds_alternative<bool>(node.value)) return from_truth(node, std::string("cpu"), std::string("none"));
  return chosen(ours, node);
}

/// What `ferula checkpoint import` has made, a run or a checkpoint; for anything else, how it becomes one.
Converted model_folder(const TomlNode& node) {
  const auto* text = std::get_if<std::string>(&node.value);
  if (text == nullptr || text->empty() || std::filesystem::exists(*text + "/config.toml")) return {.value = node};
  const bool is_downloaded = std::filesystem::exists(*text + "/config.json");
  const std::string folder = is_downloaded ? *text : "DIR";
  return {.refused = fmt::format(
              "names a model of Hugging Face, which is not read by itself: {}`ferula checkpoint import {} OUT` makes a "
              "checkpoint of it, and then set model.path = \"OUT\"; until then the model is the preset's",
              is_downloaded ? "" : fmt::format("`hf download {} --local-dir DIR` fetches it, ", *text), folder)};
}

Converted hundredth(const TomlNode& node) {
  if (const auto* whole = std::get_if<std::int64_t>(&node.value))
    return {.value = with_value(node, static_cast<double>(*whole) / 100)};
  if (const auto* number = std::get_if<double>(&node.value)) return {.value = with_value(node, *number / 100)};
  return {.value = node};
}

/// The number behind the last colon; a value without one stays, for the setting to judge.
Converted gpus_of(const TomlNode& node) {
  const auto* text = std::get_if<std::string>(&node.value);
  const std::size_t colon = text == nullptr ? std::string::npos : text->rfind(':');
  if (colon == std::string::npos) return {.value = node};
  std::int64_t gpus = 0;
  const char* end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data() + colon + 1, end, gpus);
  return {.value = error == std::errc() && at == end ? with_value(node, gpus) : node};
}

}  // namespace

const std::vector<KeyMapping>& key_mappings() {
  static const std::vector<KeyMapping> mappings = all_mappings();
  return mappings;
}

std::optional<KeyMapping> find_mapping(const std::string& path) {
  const std::string name = path.substr(path.rfind('.') + 1);
  for (const KeyMapping& each : key_mappings())
    if (each.theirs == path || (each.dialect == Dialect::other && each.theirs == name)) return each;
  Config any;
  std::vector<KeyMapping> same;
  const auto depth = [](const std::string& key) { return std::count(key.begin(), key.end(), '.'); };
  for (const Setting& setting : settings_of(any)) {
    const KeyMapping mapping{Dialect::other, path, setting.key};
    if (setting.key == path) return mapping;
    // A single word under a section of somebody else's may mean anything.
    const bool is_clear = name == path || name.find('_') != std::string::npos;
    if (setting.name() == name && is_clear) same.push_back(mapping);
  }
  const auto higher = [&](const KeyMapping& a, const KeyMapping& b) { return depth(a.ours) < depth(b.ours); };
  std::stable_sort(same.begin(), same.end(), higher);  // `device` is the run's, not that of a section's section
  if (same.empty()) return std::nullopt;
  const bool is_one = same.size() == 1 || higher(same[0], same[1]);
  return is_one ? std::optional(same.front()) : std::nullopt;
}

Converted convert(const KeyMapping& mapping, const TomlNode& node) {
  switch (mapping.conversion) {
    case Conversion::choice:
      return chosen(mapping.ours, node);
    case Conversion::precision:
      return precision(node);
    case Conversion::on_cpu:
      return from_truth(node, std::string("cpu"), std::string("auto"));
    case Conversion::shard_group:
      return shard_group(node);
    case Conversion::fsdp_strategy:
      return fsdp_strategy(node);
    case Conversion::fsdp_reshard:
      return from_truth(node, std::int64_t{3}, std::int64_t{2});
    case Conversion::optimizer_name:
      return optimizer_named(node);
    case Conversion::percent:
      return hundredth(node);
    case Conversion::gres:
      return gpus_of(node);
    case Conversion::offload:
      return offload_device(mapping.ours, node);
    case Conversion::model_folder:
      return model_folder(node);
    case Conversion::same:
    case Conversion::first_beta:
    case Conversion::second_beta:
      break;
  }
  return {.value = node};
}

std::string_view conversion_text(Conversion conversion) {
  switch (conversion) {
    case Conversion::choice:
      return "in any case";
    case Conversion::first_beta:
      return "the first of the two";
    case Conversion::second_beta:
      return "the second of the two";
    case Conversion::precision:
      return "`bf16` is true, `no` and `fp32` are false";
    case Conversion::on_cpu:
      return "`true` is `\"cpu\"`, `false` is `\"auto\"`";
    case Conversion::shard_group:
      return "-1 is `\"all\"`";
    case Conversion::fsdp_strategy:
      return "`FULL_SHARD` is 3, `SHARD_GRAD_OP` 2, `NO_SHARD` 0";
    case Conversion::fsdp_reshard:
      return "`true` is 3, `false` is 2";
    case Conversion::optimizer_name:
      return "`adamw_torch` is `AdamW`, `sgd` is `SGD`";
    case Conversion::percent:
      return "a percentage there, a share here";
    case Conversion::gres:
      return "`gpu:a5000:4` is 4";
    case Conversion::offload:
      return "`true` is `\"cpu\"`, `false` is `\"none\"`";
    case Conversion::model_folder:
      return "a folder of `ferula checkpoint import`, a run or a checkpoint";
    case Conversion::same:
      break;
  }
  return "";
}

}  // namespace ferula
