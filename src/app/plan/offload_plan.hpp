// What optimizer state in the host's memory makes of a plan: on how few cards it fits then, and what the node gives.
#pragma once

#include <optional>
#include <string>

#include "app/plan/fit_plan.hpp"

namespace ferula {

/// Whether [zero_optimization.offload_optimizer] moves state to the host.
bool offloads_optimizer(const Config& config);

/// The same configuration with the optimizer's state in the host's memory.
Config with_offloaded_optimizer(Config config);

/// The fewest ranks, up to `most`, of any stage, at the lowest of those stages. Empty where none fits.
std::optional<PlannedLayout> fewest_of_stages(const FitPlanner& planner, std::int64_t micro_batch, std::int64_t room,
                                              int most);

/// "84.2 GiB of the memory of a node with 4 ranks": of the fullest node. Empty where nothing is offloaded.
std::string host_memory_in_words(const PlannedLayout& layout, int ranks_on_node);

/// A line that says what offloading would do for a card, behind its verdict. Empty where it takes no fewer ranks.
std::string offload_line(const std::optional<PlannedLayout>& without, const std::optional<PlannedLayout>& offloaded,
                         int ranks_on_node);

}  // namespace ferula
