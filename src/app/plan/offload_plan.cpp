#include "app/plan/offload_plan.hpp"

#include <algorithm>

#include "app/plan/gpu_cards.hpp"
#include "base/human.hpp"

namespace ferula {
namespace {

constexpr int kStages = 4;

}  // namespace

bool offloads_optimizer(const Config& config) { return config.zero_optimization.offload_optimizer.device != "none"; }

Config with_offloaded_optimizer(Config config) {
  config.zero_optimization.offload_optimizer.device = "cpu";
  return config;
}

std::optional<PlannedLayout> fewest_of_stages(const FitPlanner& planner, std::int64_t micro_batch, std::int64_t room,
                                              int most) {
  std::optional<PlannedLayout> least;
  for (int stage = 0; stage < kStages; ++stage) {
    const std::optional<PlannedLayout> found = planner.fewest_ranks(stage, micro_batch, room, most);
    if (found && (!least || found->ranks < least->ranks)) least = found;
  }
  return least;
}

std::string host_memory_in_words(const PlannedLayout& layout, int ranks_on_node) {
  if (layout.host_bytes == 0) return {};
  const int here = std::min(layout.ranks, ranks_on_node);
  return fmt::format("{} of the memory of a node with {} rank{}", human_bytes(here * layout.host_bytes), here,
                     here == 1 ? "" : "s");
}

std::string offload_line(const std::optional<PlannedLayout>& without, const std::optional<PlannedLayout>& offloaded,
                         int ranks_on_node) {
  if (!offloaded || (without && without->ranks <= offloaded->ranks)) return {};
  return fmt::format("    with zero_optimization.offload_optimizer.device=cpu: {} at stage {} ({} each),\n    and {}\n",
                     offloaded->ranks, offloaded->stage, human_bytes(offloaded->bytes() + kGpuOverhead),
                     host_memory_in_words(*offloaded, ranks_on_node));
}

}  // namespace ferula
