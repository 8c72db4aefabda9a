// The one table of keys of other programs: what each is called here, how its value changes, and what silence about it
// means there. Import, export, their printed lists and docs/coming_from.md all read it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/toml_document.hpp"

namespace ferula {

/// Whose file it is. `other`: YAML or JSON of a training script, with the names of Hugging Face's Trainer.
enum class Dialect : unsigned char { deepspeed, accelerate, other };

/// How a value changes on its way here.
enum class Conversion : unsigned char {
  same,            // as it stands
  choice,          // a word of any case
  first_beta,      // the first of a pair
  second_beta,     // the second of a pair
  precision,       // "bf16" is true, "no" and "fp32" are false; others are features to come
  on_cpu,          // true is "cpu"
  shard_group,     // a number of ranks; -1 and 1 are "all"
  fsdp_strategy,   // FULL_SHARD is stage 3, SHARD_GRAD_OP 2, NO_SHARD 0
  fsdp_reshard,    // true is stage 3, false stage 2
  optimizer_name,  // "adamw_torch" is "AdamW"
  percent,         // a hundredth
  gres,            // "gpu:a5000:4" is 4
  offload,         // true is "cpu", false "none"; a word of any case
  model_folder,    // a folder that [model] path takes; names of the Hub are none
};

struct KeyMapping {
  Dialect dialect = Dialect::deepspeed;
  std::string theirs;  // dotted; of Dialect::other, without a dot, a name at any depth
  std::string ours;    // the setting
  Conversion conversion = Conversion::same;
  std::string absent{};   // what a file without the key means, as TOML; empty: the same as here
  bool is_alias = false;  // an older spelling, which export does not write
};

/// All mappings, DeepSpeed's first, in the order in which export writes them.
const std::vector<KeyMapping>& key_mappings();

/// The mapping of the dotted key `path`, or of its last part as a name of Dialect::other.
std::optional<KeyMapping> find_mapping(const std::string& path);

/// What a value became, or why it cannot come along: a clause behind the key.
struct Converted {
  std::optional<TomlNode> value{};
  std::string refused{};
};

/// `node` as the setting of the mapping wants it; types are checked by who assigns it.
Converted convert(const KeyMapping& mapping, const TomlNode& node);

/// The conversion in words, for the documentation; empty where nothing changes.
std::string_view conversion_text(Conversion conversion);

/// The text of docs/coming_from.md between its two marks: the tables of keys.
std::string coming_from_tables();

}  // namespace ferula
