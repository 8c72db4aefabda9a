// The generated part of docs/coming_from.md.
#include <fmt/format.h>

#include <algorithm>

#include "config/foreign_names.hpp"
#include "config/refused_keys.hpp"
#include "interchange/key_mapping.hpp"

namespace ferula {
namespace {

std::string mapped_table(Dialect dialect, std::string_view title) {
  std::string text =
      fmt::format("\n### {}\n\n| there | here | value | where it is missing |\n|---|---|---|---|\n", title);
  for (const KeyMapping& mapping : key_mappings()) {
    if (mapping.dialect != dialect) continue;
    text +=
        fmt::format("| `{}` | `{}` | {} | {} |\n", mapping.theirs, mapping.ours, conversion_text(mapping.conversion),
                    mapping.absent.empty() ? "" : fmt::format("`{}`", mapping.absent));
  }
  return text;
}

/// A key that another section or program gives a meaning stands among the mapped ones alone.
bool is_mapped(const std::string& key) {
  return std::any_of(key_mappings().begin(), key_mappings().end(),
                     [&](const KeyMapping& mapping) { return mapping.theirs == key; });
}

std::string refused_table(Refusal refusal, std::string_view title) {
  std::string text =
      fmt::format("\n### {}\n\nA key stands for the whole table under it.\n\n| key | it … |\n|---|---|\n", title);
  for (const RefusedKey& key : refused_keys())
    if (key.refusal == refusal && !is_mapped(key.key)) text += fmt::format("| `{}` | {} |\n", key.key, key.reason);
  for (const ForeignName& name : foreign_names())
    if (name.ours.empty() && name.refused.refusal == refusal)
      text += fmt::format("| `{}` | {} |\n", name.refused.key, name.refused.reason);
  return text;
}

}  // namespace

std::string coming_from_tables() {
  return mapped_table(Dialect::deepspeed, "DeepSpeed's keys") + mapped_table(Dialect::accelerate, "accelerate's keys") +
         mapped_table(Dialect::other, "Names of Hugging Face's Trainer and of scripts, in any section") +
         refused_table(Refusal::later, "Known, not supported yet") +
         refused_table(Refusal::meaningless, "Known, without a meaning here");
}

}  // namespace ferula
