// One flat range of a unit as this rank holds it: which extents, and where they lie in memory.
#pragma once

#include <vector>

#include "ops/ops.hpp"
#include "params/flat_layout.hpp"
#include "params/zero_plan.hpp"

namespace ferula {

/// Views into the store's buffers; extents are element ranges of the padded flat range.
struct ShardedRange {
  std::size_t unit = 0;
  FlatRange layout;
  ZeroPlan plan;
  Extent parameter;  // what this rank keeps of the values …
  Extent gradient;   // … of the gradient …
  Extent optimizer;  // … and of the optimizer state: lies inside both

  TensorView value;      // [parameter] storage dtype
  TensorView common;     // [padded] all values, `value` among them, where the ranks keep them in common memory
  TensorView gradients;  // [gradient] f32; empty when frozen, as all below
  TensorView master;     // [optimizer] f32; the value itself when that is f32
  TensorView moment1;    // [optimizer] f32, where the rule has it
  TensorView moment2;    // [optimizer] f32, where the rule has it; moments and own masters lie in the optimizer's tier

  std::vector<DecaySegment> decay;  // of the optimizer extent
  bool awaits_first_reduce = true;  // no micro batch of this step has been reduced into `gradients`
  bool is_summed = false;           // the gradient of this step is the sum over all ranks

  bool value_is_whole() const { return parameter.count() == layout.padded; }
  /// Whether the ranks that cut the values keep them in memory that all of them read: a gather moves nothing. Each
  /// writes its piece in an update only: its gradients are complete then, so all ranks have ended the pass that reads.
  bool value_is_common() const { return !value_is_whole() && plan.parameter.shard->has_common_memory(); }
  bool gradient_is_whole() const { return gradient.count() == layout.padded; }
  bool has_own_master() const { return layout.trainable && layout.storage != DType::f32; }
  /// Whether the state of the optimizer lies in the host's memory.
  bool is_offloaded() const { return layout.trainable && plan.optimizer.tier == Tier::host; }
  /// The part of `value` and of `gradients` that this rank's optimizer updates.
  TensorView optimizer_value() const;
  TensorView optimizer_gradient() const;
  /// Where the device's operations make masters between steps: in place, or, where they lie with the host, in the
  /// memory of the gradient, which nobody needs then.
  TensorView reachable_master() const;
};

/// Extents and decay segments of a range for the calling rank; no memory yet.
ShardedRange make_sharded_range(std::size_t unit_index, const UnitSpec& unit, FlatRange layout, const ZeroPlan& plan,
                                float weight_decay);

}  // namespace ferula
