// What a run will write into its directory, before it writes anything: checkpoints times retention, and logs.
#pragma once

#include <optional>

#include "checkpoint/retention.hpp"
#include "ops/ops.hpp"
#include "params/param_spec.hpp"

namespace ferula {

/// Bytes of all tensors of a checkpoint: exactly what a save of the run counts, on any number of ranks.
std::int64_t checkpoint_bytes(const ModelSpec& model, const OptimizerRule& rule);

/// When a run saves, and what stays of it.
struct SavingPlan {
  std::optional<std::int64_t> steps = 0;  // empty: only the data will tell
  std::int64_t every_steps = 0;           // 0: at the end alone
  Retention retention{};

  /// How many checkpoints lie there at once at most: an old one goes only when the new one is safe. Where the steps are
  /// not known, those that keep_every keeps for ever are left out.
  std::int64_t most_at_once() const;
};

/// Every number is an upper bound.
struct StorageForecast {
  FreeSpace checkpoint;          // one of them: a shard and its table a rank, three files beside
  std::int64_t checkpoints = 0;  // at once, at most
  std::int64_t log_bytes = 0;    // metrics.jsonl and log.txt

  /// All of it, where `present` checkpoints of the run lie there already: room for one more is needed in any case.
  FreeSpace left_to_write(std::int64_t present) const;
};

StorageForecast forecast_storage(const ModelSpec& model, const OptimizerRule& rule, const SavingPlan& plan, int ranks);

}  // namespace ferula
