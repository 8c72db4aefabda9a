// The flat ranges of a whole model and the few large buffers in which a rank keeps its pieces of them.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "comm/mesh.hpp"
#include "ops/ops.hpp"
#include "params/sharded_range.hpp"

namespace ferula {

/// Where the state of the optimizer lives ([zero_optimization.offload_optimizer]), and what passes between there and
/// the device: gradients down and values up, in two halves of memory that take turns.
struct OptimizerOffload {
  Tier tier = Tier::device;
  bool pin_memory = true;                               // the halves are page-locked: copies run beside the update
  std::int64_t chunk_elements = std::int64_t{1} << 21;  // of a half
};

inline constexpr std::int64_t kOffloadHalves = 2;

struct StoreSettings {
  OptimizerRule rule;
  float weight_decay = 0.0f;
  std::int64_t prefetch_elements = 50'000'000;   // zero_optimization.stage3_prefetch_bucket_size
  std::int64_t persistence_threshold = 100'000;  // zero_optimization.stage3_param_persistence_threshold
  int stage = 0;
  GradientReduction reduction = GradientReduction::each_micro_batch;
  OptimizerOffload offload{};
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
  std::int64_t buffers = 0;  // slots for gathered values and for contributions, scalars of a step, page-locked halves
  std::int64_t host_optimizer = 0;  // in the host's tier, counted apart
  std::int64_t host_buffers = 0;    // halves that are not page-locked

  std::int64_t host() const { return host_optimizer + host_buffers; }
};
StoreBytes store_bytes(const RangesByUnit& ranges, const StoreSettings& settings);
/// Of one half: as long a piece of a gradient and of its values as it takes at once; 0 where nothing is offloaded.
std::int64_t offload_half_bytes(const RangesByUnit& ranges, const OptimizerOffload& offload);

/// Owns values, gradients and optimizer state: one buffer a kind and tier. Collective to construct (buffers may be
/// shared windows of the data-parallel group).
class StoreMemory {
 public:
  StoreMemory(const ModelSpec& model, const StoreSettings& settings, Mesh& mesh, Device& device);

  const RangesByUnit& ranges() const { return ranges_by_unit_; }
  /// The host's tier: ordinary memory, counted by a ledger of its own, whatever the device is.
  Device& host() { return *host_; }
  const MemoryLedger& host_ledger() const { return host_ledger_; }

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
  MemoryLedger host_ledger_;
  std::unique_ptr<Device> host_;
  Buffer values_, common_values_, gradients_, optimizer_, host_optimizer_;
};

/// Bytes of a unit's tensors that are not kept whole, with the paddings of their ranges: what a gather brings into
/// memory of this rank, and what a gradient contribution takes.
std::int64_t gathered_bytes(std::span<const ShardedRange> ranges);
std::int64_t contribution_bytes(std::span<const ShardedRange> ranges);
/// Whether this rank keeps all values of a unit itself.
bool keeps_whole_values(std::span<const ShardedRange> ranges);

}  // namespace ferula
