// Rules between the keys of a configuration that hold whatever the ranks, the data and the device are.
#pragma once

#include <string>
#include <vector>

#include "config/load_config.hpp"
#include "config/mistake_collector.hpp"

namespace ferula {

/// Defaults that depend on a type: Lion's betas are [0.9, 0.99].
void apply_type_defaults(LoadedConfig& loaded);

/// Reports every broken rule between keys; a rule that reads a doubtful key keeps silent. Of a configuration for
/// inference those of data, length, optimizer and schedule are not asked.
void check_config_rules(LoadedConfig& loaded, MistakeCollector& mistakes, ConfigUse use);

/// Reports a warm-up that is longer than the schedule, where the length of the schedule is known.
void check_warmup(const LoadedConfig& loaded, MistakeCollector& mistakes);

/// Reports one broken rule at the first of `keys` that the user gave, with the others as related. Keeps silent if one
/// of `keys` is in doubt.
void report_rule(const LoadedConfig& loaded, MistakeCollector& mistakes, const std::vector<std::string>& keys,
                 std::string message, std::string fix);

}  // namespace ferula
