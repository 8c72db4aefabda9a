// Replaces every "auto" by a value, once what it depends on is known.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/load_config.hpp"

namespace ferula {

/// What the ranks compute with where the configuration leaves it open.
struct DeviceFacts {
  std::string kind = "cpu";  // what [run] device = "auto" becomes
  std::string reason = "no GPU was looked for";
  bool has_native_bf16 = false;
};

/// What the run knows when it resolves its configuration.
struct ResolveFacts {
  std::int64_t data_parallel_ranks = 1;
  std::int64_t tokenizer_vocabulary = 256;
  DeviceFacts device{};
  /// Samples of sequence_length tokens in one epoch; absent while the data has not been opened.
  std::optional<std::int64_t> training_samples{};
  ConfigUse use = ConfigUse::training;
  /// The names of a model's tensors, for globs that match none; such globs pass where it is absent.
  std::function<std::vector<std::string>(const ModelConfig&)> tensor_names{};
};

/// The configuration without any "auto", each resolved value with the rule and its numbers as its source; checks the
/// batch triangle, the shard size, the warm-up and the vocabulary against the facts. Throws ConfigMistakes with every
/// mistake, those of the draft included; what depends on a value that is wrong already is not judged.
/// While the number of samples is unknown, `epochs` stays "auto" where steps are given, and `steps` (with a scheduler's
/// total_num_steps) stays "auto" where epochs are given. For inference the batch triangle is not checked, and what of
/// it and of the length is missing becomes one micro batch of one sample and one step.
LoadedConfig resolve_config(ConfigDraft draft, const ResolveFacts& facts);
/// The same of a configuration that was read without a mistake.
LoadedConfig resolve_config(LoadedConfig loaded, const ResolveFacts& facts);

/// What of a resolved configuration is legal but not what users of DeepSpeed expect: one sentence each.
std::vector<std::string> config_warnings(const LoadedConfig& resolved);

}  // namespace ferula
