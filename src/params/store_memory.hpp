// The flat ranges of a whole model and the few large buffers in which a rank keeps its pieces of them.
#pragma once

#include <span>
#include <vector>

#include "comm/mesh.hpp"
#include "ops/ops.hpp"
#include "params/sharded_range.hpp"

namespace ferula {

struct StoreSettings {
  OptimizerRule rule;
  float weight_decay = 0.0f;
  std::int64_t prefetch_elements = 50'000'000;   // zero_optimization.stage3_prefetch_bucket_size
  std::int64_t persistence_threshold = 100'000;  // zero_optimization.stage3_param_persistence_threshold
  int stage = 0;
  GradientReduction reduction = GradientReduction::each_micro_batch;
  bool trains = true;          // false: values only
  bool packs_weights = false;  // keep packed forms of values that stay whole: faster products, twice the memory
};

using RangesByUnit = std::vector<std::vector<ShardedRange>>;

/// The flat ranges of every unit for the calling rank; no memory yet.
RangesByUnit lay_out_ranges(const ModelSpec& model, const StoreSettings& settings, Mesh& mesh);

/// What a store takes on this rank, in bytes: known before any of it is allocated.
struct StoreBytes {
  std::int64_t parameters = 0;
  std::int64_t gradients = 0;
  std::int64_t optimizer = 0;
  std::int64_t buffers = 0;  // slots for gathered values and for contributions, scalars of a step
};
StoreBytes store_bytes(const RangesByUnit& ranges, const OptimizerRule& rule);

/// Owns values, gradients and optimizer state: one buffer a kind. Collective to construct (buffers may be shared
/// windows of the data-parallel group).
class StoreMemory {
 public:
  StoreMemory(const ModelSpec& model, const StoreSettings& settings, Mesh& mesh, Device& device);

  /// The ranges of a unit, in table order.
  std::span<ShardedRange> of_unit(std::size_t unit) { return ranges_by_unit_.at(unit); }
  /// Calls `visit(range)` for every range of the model, in table order.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (auto& ranges : ranges_by_unit_)
      for (ShardedRange& range : ranges) visit(range);
  }
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& ranges : ranges_by_unit_)
      for (const ShardedRange& range : ranges) visit(range);
  }

 private:
  RangesByUnit ranges_by_unit_;
  Buffer values_, gradients_, optimizer_;
};

/// Bytes of a unit's tensors that are not kept whole, with the paddings of their ranges: what a gather brings, and what
/// a gradient contribution takes.
std::int64_t gathered_bytes(std::span<const ShardedRange> ranges);
std::int64_t contribution_bytes(std::span<const ShardedRange> ranges);

}  // namespace ferula
