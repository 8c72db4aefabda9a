#include "train/traffic_forecast.hpp"

#include "comm/counting_communicator.hpp"

namespace ferula {
namespace {

void add(TrafficCounts& counts, Collective collective, const Communicator& group, std::int64_t times, DType dtype,
         std::int64_t elements) {
  if (!has_traffic(group)) return;
  Traffic& traffic = counts.at(static_cast<std::size_t>(collective));
  traffic.elements += times * elements;
  traffic.bytes += times * bytes_of(dtype, elements);
}

/// How often a micro batch needs the values of a unit. An embedding of its own is read in the forward pass alone, a
/// head of its own in the backward pass alone.
std::int64_t uses_of_unit(std::size_t unit, const TrainingShape& shape) {
  const bool is_table = unit == 0 || unit + 1 == shape.model.size();
  return is_table && !shape.spec.tied ? 1 : 2;
}

void add_gathers(TrafficCounts& counts, std::size_t unit, const ShardedRange& range, const TrainingShape& shape) {
  add(counts, Collective::all_gather, *range.plan.parameter.shard, shape.batch.accumulation * uses_of_unit(unit, shape),
      range.layout.storage, range.layout.padded);
}

}  // namespace

std::int64_t forecast_unmoved_bytes(const TrainingShape& shape, Mesh& mesh) {
  TrafficCounts unmoved{};
  const RangesByUnit ranges_by_unit = lay_out_ranges(shape.model, shape.store, mesh);
  for (std::size_t unit = 0; unit < ranges_by_unit.size(); ++unit)
    for (const ShardedRange& range : ranges_by_unit[unit])
      if (range.value_is_common()) add_gathers(unmoved, unit, range, shape);
  return unmoved[static_cast<std::size_t>(Collective::all_gather)].bytes;
}

TrafficCounts forecast_traffic(const TrainingShape& shape, Mesh& mesh) {
  TrafficCounts counts{};
  const RangesByUnit ranges_by_unit = lay_out_ranges(shape.model, shape.store, mesh);
  for (std::size_t unit = 0; unit < ranges_by_unit.size(); ++unit) {
    for (const ShardedRange& range : ranges_by_unit[unit]) {
      const ZeroPlan& plan = range.plan;
      const std::int64_t whole = range.layout.padded;
      add_gathers(counts, unit, range, shape);
      if (!range.layout.trainable) continue;
      add(counts, Collective::reduce_scatter, *plan.gradient.shard, shape.batch.accumulation, DType::f32, whole);
      add(counts, Collective::reduce_scatter, *plan.scatter, 1, DType::f32, whole);
      add(counts, Collective::all_reduce, *plan.combine, 2, DType::f32, range.optimizer.count());
      add(counts, Collective::all_gather, *plan.publish, 1, range.layout.storage, whole);
    }
  }
  return counts;
}

}  // namespace ferula
