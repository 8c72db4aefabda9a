#include "params/store_memory.hpp"

#include "base/narrow.hpp"

namespace ferula {
namespace {

/// Cuts views off the front of one buffer.
class Carver {
 public:
  explicit Carver(const Buffer& buffer) : rest_(buffer.flat(DType::u8)) {}

  TensorView take(DType dtype, std::int64_t count) {
    const std::int64_t bytes = count * bytes_of(dtype);
    const TensorView piece(rest_.range(0, bytes).data, dtype, {count});
    rest_ = rest_.range(bytes, rest_.count() - bytes);
    return piece;
  }

 private:
  TensorView rest_;
};

struct RangeBytes {
  std::int64_t values = 0;
  std::int64_t gradients = 0;
  std::int64_t optimizer = 0;
};

RangeBytes bytes_of_range(const ShardedRange& range, const OptimizerRule& rule) {
  RangeBytes bytes{.values = range.parameter.count() * bytes_of(range.layout.storage)};
  if (!range.layout.trainable) return bytes;
  bytes.gradients = range.gradient.count() * bytes_of(DType::f32);
  const int vectors = int{range.has_own_master()} + int{keeps_moment1(rule)} + int{keeps_moment2(rule)};
  bytes.optimizer = range.optimizer.count() * bytes_of(DType::f32) * vectors;
  return bytes;
}

void carve_trained(ShardedRange& range, const OptimizerRule& rule, Carver& gradients, Carver& optimizer) {
  range.gradients = gradients.take(DType::f32, range.gradient.count());
  const std::int64_t owned = range.optimizer.count();
  range.master = range.has_own_master() ? optimizer.take(DType::f32, owned) : range.optimizer_value();
  if (keeps_moment1(rule)) range.moment1 = optimizer.take(DType::f32, owned);
  if (keeps_moment2(rule)) range.moment2 = optimizer.take(DType::f32, owned);
}

}  // namespace

StoreMemory::StoreMemory(const ModelSpec& model, const StoreSettings& settings, Mesh& mesh, Device& device) {
  lay_out(model, settings, mesh);
  allocate(settings.rule, mesh, device);
}

void StoreMemory::lay_out(const ModelSpec& model, const StoreSettings& settings, Mesh& mesh) {
  const ZeroPlan plan = make_zero_plan(settings.stage, mesh);
  const ZeroPlan persistent = make_persistent_plan(settings.stage, mesh);
  const bool plans_differ = plan.parameter.shard != persistent.parameter.shard;
  const std::int64_t threshold = plans_differ ? settings.persistence_threshold : 0;
  for (std::size_t unit = 0; unit < model.size(); ++unit) {
    auto& ranges = ranges_by_unit_.emplace_back();
    for (FlatRange& layout : make_flat_ranges(model[unit], finest_parts(plan), threshold)) {
      layout.trainable = layout.trainable && settings.trains;
      const ZeroPlan& of_range = layout.residence == Residence::persistent ? persistent : plan;
      ranges.push_back(make_sharded_range(unit, model[unit], std::move(layout), of_range, settings.weight_decay));
    }
  }
}

void StoreMemory::allocate(const OptimizerRule& rule, Mesh& mesh, Device& device) {
  RangeBytes total;
  for_each([&](const ShardedRange& range) {
    const RangeBytes bytes = bytes_of_range(range, rule);
    total.values += bytes.values;
    total.gradients += bytes.gradients;
    total.optimizer += bytes.optimizer;
  });
  values_ = mesh.data().allocate(total.values, MemoryKind::parameters);
  gradients_ = mesh.data().allocate(total.gradients, MemoryKind::gradients);
  optimizer_ = device.allocate(total.optimizer, MemoryKind::optimizer);
  Carver values(values_), gradients(gradients_), optimizer(optimizer_);
  for_each([&](ShardedRange& range) {
    range.value = values.take(range.layout.storage, range.parameter.count());
    if (range.layout.trainable) carve_trained(range, rule, gradients, optimizer);
  });
}

std::int64_t gathered_bytes(std::span<const ShardedRange> ranges) {
  std::int64_t bytes = 0;
  for (const ShardedRange& range : ranges)
    if (!range.value_is_whole()) bytes += range.layout.padded * bytes_of(range.layout.storage);
  return bytes;
}

std::int64_t contribution_bytes(std::span<const ShardedRange> ranges) {
  std::int64_t bytes = 0;
  for (const ShardedRange& range : ranges)
    if (range.layout.trainable && !range.gradient_is_whole()) bytes += range.layout.padded * bytes_of(DType::f32);
  return bytes;
}

}  // namespace ferula
