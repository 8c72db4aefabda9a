#include "params/store_memory.hpp"

#include <algorithm>
#include <numeric>

#include "ops/optimizer_range.hpp"
#include "params/unit_pool.hpp"

namespace ferula {
namespace {

constexpr std::string_view kHostRemedy =
    "Fewer ranks on a node, or optimizer state on the devices (zero_optimization.offload_optimizer.device = \"none\"), "
    "need less of it";

/// Cuts views off the front of one buffer.
class Carver {
 public:
  explicit Carver(const Buffer& buffer) : rest_(buffer.flat(DType::u8)) {}

  TensorView take(DType dtype, std::int64_t count) {
    const std::int64_t bytes = bytes_of(dtype, count);
    const TensorView piece(rest_.range(0, bytes).data, dtype, {count});
    rest_ = rest_.range(bytes, rest_.count() - bytes);
    return piece;
  }

 private:
  TensorView rest_;
};

void add_range(StoreBytes& bytes, const ShardedRange& range, const OptimizerRule& rule) {
  bytes.parameters += bytes_of(range.layout.storage, range.parameter.count());
  if (!range.layout.trainable) return;
  bytes.gradients += bytes_of(DType::f32, range.gradient.count());
  const int vectors = int{range.has_own_master()} + int{keeps_moment1(rule)} + int{keeps_moment2(rule)};
  (range.is_offloaded() ? bytes.host_optimizer : bytes.optimizer) +=
      bytes_of(DType::f32, range.optimizer.count()) * vectors;
}

std::int64_t sum_of(const std::vector<std::int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
}

/// Of values: this rank's own, and all that lie in common memory, once for all ranks.
struct ValueBytes {
  std::int64_t own = 0, common = 0;
};

ValueBytes value_bytes(const RangesByUnit& ranges_by_unit) {
  ValueBytes bytes;
  for (const auto& ranges : ranges_by_unit)
    for (const ShardedRange& range : ranges) {
      if (range.value_is_common())
        bytes.common += bytes_of(range.layout.storage, range.layout.padded);
      else
        bytes.own += bytes_of(range.layout.storage, range.parameter.count());
    }
  return bytes;
}

void carve_values(ShardedRange& range, Carver& own, Carver& common) {
  if (range.value_is_common()) {
    range.common = common.take(range.layout.storage, range.layout.padded);
    range.value = range.common.range(range.parameter.begin, range.parameter.count());
  } else {
    range.value = own.take(range.layout.storage, range.parameter.count());
  }
}

void carve_trained(ShardedRange& range, const OptimizerRule& rule, Carver& gradients, Carver& optimizer) {
  range.gradients = gradients.take(DType::f32, range.gradient.count());
  const std::int64_t owned = range.optimizer.count();
  range.master = range.has_own_master() ? optimizer.take(DType::f32, owned) : range.optimizer_value();
  if (keeps_moment1(rule)) range.moment1 = optimizer.take(DType::f32, owned);
  if (keeps_moment2(rule)) range.moment2 = optimizer.take(DType::f32, owned);
}

}  // namespace

RangesByUnit lay_out_ranges(const ModelSpec& model, const StoreSettings& settings, Mesh& mesh) {
  const Tier tier = settings.offload.tier;
  const ZeroPlan plan = make_zero_plan(settings.stage, settings.reduction, mesh, tier);
  const ZeroPlan persistent = make_persistent_plan(settings.stage, settings.reduction, mesh, tier);
  const bool plans_differ = plan.parameter.shard != persistent.parameter.shard;
  const std::int64_t threshold = plans_differ ? settings.persistence_threshold : 0;
  RangesByUnit ranges_by_unit;
  for (std::size_t unit = 0; unit < model.size(); ++unit) {
    auto& ranges = ranges_by_unit.emplace_back();
    for (FlatRange& layout : make_flat_ranges(model[unit], finest_parts(plan), threshold)) {
      layout.trainable = layout.trainable && settings.trains;
      const ZeroPlan& of_range = layout.residence == Residence::persistent ? persistent : plan;
      ranges.push_back(make_sharded_range(unit, model[unit], std::move(layout), of_range, settings.weight_decay));
    }
  }
  return ranges_by_unit;
}

StoreBytes store_bytes(const RangesByUnit& ranges_by_unit, const StoreSettings& settings) {
  StoreBytes bytes;
  std::vector<std::int64_t> gathered, contributed;
  for (const auto& ranges : ranges_by_unit) {
    for (const ShardedRange& range : ranges) add_range(bytes, range, settings.rule);
    gathered.push_back(gathered_bytes(ranges));
    contributed.push_back(contribution_bytes(ranges));
  }
  bytes.buffers = sum_of(slot_sizes(gathered)) + sum_of(slot_sizes(contributed)) +
                  std::int64_t{2} * kStepScalars * bytes_of(DType::f32) + bytes_of(DType::f64);
  (settings.offload.pin_memory ? bytes.buffers : bytes.host_buffers) +=
      kOffloadHalves * offload_half_bytes(ranges_by_unit, settings.offload);
  return bytes;
}

StoreMemory::StoreMemory(const ModelSpec& model, const StoreSettings& settings, Mesh& mesh, Device& device)
    : ranges_by_unit_(lay_out_ranges(model, settings, mesh)),
      host_ledger_(std::string(kHostRemedy)),
      host_(make_cpu_device(host_ledger_)) {
  const StoreBytes total = store_bytes(ranges_by_unit_, settings);
  const ValueBytes of_values = value_bytes(ranges_by_unit_);
  if (of_values.common > 0) common_values_ = mesh.shard().allocate_common(of_values.common, MemoryKind::parameters);
  values_ = mesh.data().allocate(of_values.own, MemoryKind::parameters);
  gradients_ = mesh.data().allocate(total.gradients, MemoryKind::gradients);
  optimizer_ = device.allocate(total.optimizer, MemoryKind::optimizer);
  host_optimizer_ = host_->allocate(total.host_optimizer, MemoryKind::optimizer);
  Carver values(values_), common(common_values_), gradients(gradients_), optimizer(optimizer_),
      host_optimizer(host_optimizer_);
  for_each([&](ShardedRange& range) {
    carve_values(range, values, common);
    if (range.layout.trainable)
      carve_trained(range, settings.rule, gradients, range.is_offloaded() ? host_optimizer : optimizer);
  });
}

std::int64_t offload_half_bytes(const RangesByUnit& ranges_by_unit, const OptimizerOffload& offload) {
  std::int64_t bytes = 0;
  for (const auto& ranges : ranges_by_unit)
    for (const ShardedRange& range : ranges) {
      const std::int64_t chunk = std::min(offload.chunk_elements, range.optimizer.count());
      if (range.is_offloaded())
        bytes = std::max(bytes, bytes_of(DType::f32, chunk) + bytes_of(range.layout.storage, chunk));
    }
  return bytes;
}

std::int64_t gathered_bytes(std::span<const ShardedRange> ranges) {
  std::int64_t bytes = 0;
  for (const ShardedRange& range : ranges)
    if (!range.value_is_whole() && !range.value_is_common())
      bytes += bytes_of(range.layout.storage, range.layout.padded);
  return bytes;
}

bool keeps_whole_values(std::span<const ShardedRange> ranges) {
  return std::all_of(ranges.begin(), ranges.end(), [](const ShardedRange& range) { return range.value_is_whole(); });
}

std::int64_t contribution_bytes(std::span<const ShardedRange> ranges) {
  std::int64_t bytes = 0;
  for (const ShardedRange& range : ranges)
    if (range.layout.trainable && !range.gradient_is_whole()) bytes += bytes_of(DType::f32, range.layout.padded);
  return bytes;
}

}  // namespace ferula
