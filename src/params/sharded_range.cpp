#include "params/sharded_range.hpp"

#include "base/error.hpp"

namespace ferula {
namespace {

Extent extent_in(const Communicator& shard, std::int64_t padded) { return part_of(padded, shard.rank(), shard.size()); }

std::vector<DecaySegment> decay_segments(const UnitSpec& unit, const FlatRange& layout, Extent extent,
                                         float weight_decay) {
  std::vector<DecaySegment> segments;
  const auto append = [&](Extent part, float decay) {
    if (part.count() == 0) return;
    if (!segments.empty() && segments.back().weight_decay == decay) {
      segments.back().count += part.count();
    } else {
      segments.push_back({part.begin - extent.begin, part.count(), decay});
    }
  };
  for (const FlatTensor& tensor : layout.tensors)
    append(intersect({tensor.begin, tensor.begin + tensor.count}, extent),
           unit.params[tensor.param].decay ? weight_decay : 0.0f);
  append(intersect({layout.count, layout.padded}, extent), 0.0f);
  return segments;
}

}  // namespace

TensorView ShardedRange::optimizer_value() const {
  return value.range(optimizer.begin - parameter.begin, optimizer.count());
}

TensorView ShardedRange::optimizer_gradient() const {
  return gradients.range(optimizer.begin - gradient.begin, optimizer.count());
}

TensorView ShardedRange::reachable_master() const {
  return is_offloaded() && has_own_master() ? optimizer_gradient() : master;
}

ShardedRange make_sharded_range(std::size_t unit_index, const UnitSpec& unit, FlatRange layout, const ZeroPlan& plan,
                                float weight_decay) {
  ShardedRange range;
  range.unit = unit_index;
  range.plan = plan;
  range.parameter = extent_in(*plan.parameter.shard, layout.padded);
  range.gradient = extent_in(*plan.gradient.shard, layout.padded);
  range.optimizer = extent_in(*plan.optimizer.shard, layout.padded);
  FERULA_CHECK(intersect(range.optimizer, range.gradient) == range.optimizer,
               "the optimizer's piece of {} leaves the gradient's", unit.name);
  FERULA_CHECK(intersect(range.optimizer, range.parameter) == range.optimizer,
               "the optimizer's piece of {} leaves the values'", unit.name);
  range.decay = decay_segments(unit, layout, range.optimizer, weight_decay);
  range.layout = std::move(layout);
  return range;
}

}  // namespace ferula
