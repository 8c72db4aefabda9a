// What a configuration does to the memory of a GPU: the forecast of `ferula plan`, for the wizard's next line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "app/plan/fit_plan.hpp"
#include "app/wizard/wizard_facts.hpp"

namespace ferula {

/// What each rank may take, and where.
struct MemoryRoom {
  std::string place = "GPU";            // "RTX A5000", "process"
  std::optional<std::int64_t> bytes{};  // absent where the card is unknown
  double card_gib = 0.0;                // of a GPU with everything on it; 0: unknown
};

struct MemoryOutlook {
  PlannedLayout own;
  MemoryRoom room;
  std::optional<PlannedLayout> nearest{};    // on these ranks, where `own` does not fit
  std::optional<PlannedLayout> fewest{};     // at the highest stage, where not even that does
  std::optional<PlannedLayout> offloaded{};  // on these ranks with optimizer state on the host, where `nearest` is none

  bool fits() const { return !room.bytes || own.bytes() <= *room.bytes; }
};

/// `resolved` as `config check` makes it, `shard_size` as the user wrote it.
MemoryOutlook memory_outlook(Config resolved, const std::string& shard_size, int ranks, int ranks_on_node,
                             const MemoryRoom& room);

/// "memory per GPU: 3.21 GiB of 23 GiB (RTX A5000), it fits". `before`: what it was, where there was an answer before.
std::string in_words(const MemoryOutlook& outlook, std::optional<std::int64_t> before);

}  // namespace ferula
