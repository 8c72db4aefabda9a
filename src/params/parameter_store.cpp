#include "params/parameter_store.hpp"

#include <cmath>

namespace ferula {
namespace {

/// Slots from here on are contributions: a lease's slot number tells which pool it came from.
constexpr std::size_t kFirstContribution = 1000;

/// Points the tensors of `range` into its whole elements at `whole`.
void point_tensors(const UnitSpec& unit, const ShardedRange& range, TensorView whole,
                   std::vector<TensorView>& tensors) {
  for (const FlatTensor& tensor : range.layout.tensors) {
    TensorView& view = tensors.at(tensor.param);
    view = TensorView(whole.range(tensor.begin, tensor.count).data, whole.dtype, unit.params[tensor.param].shape);
  }
}

/// Calls `visit(range, view)` with each selected range's place in a slot.
template <class Selects, class Visit>
void for_each_in_slot(std::span<ShardedRange> ranges, TensorView slot, Selects&& dtype_if_selected, Visit&& visit) {
  std::int64_t begin = 0;
  for (ShardedRange& range : ranges) {
    const std::optional<DType> dtype = dtype_if_selected(range);
    if (!dtype) continue;
    const std::int64_t bytes = bytes_of(*dtype, range.layout.padded);
    visit(range, TensorView(slot.range(begin, bytes).data, *dtype, {range.layout.padded}));
    begin += bytes;
  }
}

std::optional<DType> gathered_dtype(const ShardedRange& range) {
  if (range.value_is_whole() || range.value_is_common()) return std::nullopt;
  return range.layout.storage;
}

std::optional<DType> contributed_dtype(const ShardedRange& range) {
  if (!range.layout.trainable || range.gradient_is_whole()) return std::nullopt;
  return DType::f32;
}

template <class BytesOf>
std::vector<std::int64_t> bytes_by_unit(StoreMemory& memory, std::size_t units, BytesOf&& bytes_of_unit) {
  std::vector<std::int64_t> bytes(units);
  for (std::size_t unit = 0; unit < units; ++unit) bytes[unit] = bytes_of_unit(memory.of_unit(unit));
  return bytes;
}

}  // namespace

ParameterStore::ParameterStore(ModelSpec model, const StoreSettings& settings, Mesh& mesh, Execution& execution)
    : model_(std::move(model)),
      settings_(settings),
      execution_(&execution),
      memory_(model_, settings, mesh, execution.device),
      gathered_(bytes_by_unit(memory_, model_.size(), gathered_bytes),
                [&](std::int64_t bytes) { return execution.device.allocate(bytes, MemoryKind::buffers); }),
      contributions_(bytes_by_unit(memory_, model_.size(), contribution_bytes),
                     [&](std::int64_t bytes) { return mesh.data().allocate(bytes, MemoryKind::buffers); }),
      norm_group_(make_zero_plan(settings.stage, settings.reduction, mesh).optimizer.shard),
      step_scalars_(execution.device.allocate(kStepScalars * bytes_of(DType::f32), MemoryKind::buffers)),
      host_scalars_(execution.device.allocate_shared(step_scalars_.bytes(), MemoryKind::buffers)),
      norm_total_(execution.device.allocate_shared(bytes_of(DType::f64), MemoryKind::buffers)),
      offloaded_update_(memory_, settings, execution) {
  for (std::size_t unit = 0; unit < model_.size(); ++unit) {
    auto& values = kept_values_.emplace_back(model_[unit].params.size());
    auto& gradients = kept_gradients_.emplace_back(model_[unit].params.size());
    untouched_.emplace_back(model_[unit].params.size());
    for (const ShardedRange& range : memory_.of_unit(unit)) {
      if (range.value_is_whole()) point_tensors(model_[unit], range, range.value, values);
      if (range.value_is_common()) point_tensors(model_[unit], range, range.common, values);
      if (range.layout.trainable && range.gradient_is_whole())
        point_tensors(model_[unit], range, range.gradients, gradients);
    }
  }
}

ParameterStore::~ParameterStore() = default;

// --- values ---------------------------------------------------------------------------------------------------------

UnitLease ParameterStore::acquire(std::size_t unit) {
  const std::int64_t bytes = gathered_bytes(memory_.of_unit(unit));
  if (bytes == 0) {
    meet_for_values(unit);
    const PhaseTimes::Scope exposed(execution_->phases, Phase::communication);
    if (const auto met = met_.extract(unit)) execution_->compute.wait(met.mapped());
    return {this, unit, kNoSlot, &kept_values_.at(unit)};
  }
  std::optional<std::size_t> slot = gathered_.holding(unit);
  if (!slot) {
    slot = gathered_.free_slot(bytes);
    FERULA_CHECK(slot.has_value(), "no slot is free for {}: too many units are leased", model_.at(unit).name);
    start_gather(unit, *slot);
  }
  const PhaseTimes::Scope exposed(execution_->phases, Phase::communication);
  UnitSlot& held = gathered_.at(*slot);
  FERULA_CHECK(!held.leased, "{} is leased already", model_.at(unit).name);
  held.leased = true;
  execution_->compute.wait(held.ready);
  return {this, unit, *slot, &held.tensors};
}

void ParameterStore::prefetch(std::size_t unit) {
  const std::int64_t bytes = gathered_bytes(memory_.of_unit(unit));
  if (bytes == 0) return meet_for_values(unit);
  if (model_.at(unit).count() > settings_.prefetch_elements || gathered_.holding(unit)) return;
  if (const std::optional<std::size_t> slot = gathered_.free_slot(bytes)) start_gather(unit, *slot);
}

void ParameterStore::start_gather(std::size_t unit, std::size_t slot_index) {
  UnitSlot& slot = gathered_.at(slot_index);
  slot.unit = unit;
  slot.tensors.assign(kept_values_.at(unit).begin(), kept_values_.at(unit).end());
  const PhaseTimes::Scope exposed(execution_->phases, Phase::communication);
  execution_->communication.wait(slot.idle);
  for_each_in_slot(memory_.of_unit(unit), slot.memory, gathered_dtype, [&](ShardedRange& range, TensorView whole) {
    range.plan.parameter.shard->all_gather(execution_->communication, range.value, whole);
    point_tensors(model_[unit], range, whole, slot.tensors);
  });
  slot.ready = execution_->communication.record();
}

void ParameterStore::meet_for_values(std::size_t unit) {
  if (met_.contains(unit)) return;
  const PhaseTimes::Scope exposed(execution_->phases, Phase::communication);
  for (const ShardedRange& range : memory_.of_unit(unit)) {
    if (!range.value_is_common()) continue;
    range.plan.parameter.shard->all_gather(execution_->communication, range.value, range.common);
    met_[unit] = execution_->communication.record();
  }
}

void ParameterStore::forget_gathered() {
  gathered_.forget();
  met_.clear();
  ++version_;
}

void ParameterStore::release(std::size_t, std::size_t slot_index) noexcept {
  if (slot_index == kNoSlot) return;
  const bool is_contribution = slot_index >= kFirstContribution;
  UnitSlot& slot = is_contribution ? contributions_.at(slot_index - kFirstContribution) : gathered_.at(slot_index);
  slot.leased = false;
  slot.unit = kNoUnit;
  try {
    slot.idle = execution_->compute.record();
  } catch (...) {  // the stream has failed: it keeps its error, and throws it to who uses it next
  }
}

PreparedWeight* ParameterStore::prepared(std::size_t unit, std::size_t param, const TensorView& values) {
  if (!settings_.packs_weights || !keeps_whole_values(memory_.of_unit(unit))) return nullptr;
  const auto [entry, is_new] = prepared_.try_emplace({unit, param});
  if (is_new) entry->second = execution_->ops.make_prepared(values.dim(0), values.dim(1), values.dtype);
  return entry->second.get();
}

// --- gradients ------------------------------------------------------------------------------------------------------

void ParameterStore::zero_gradients() {
  memory_.for_each([this](ShardedRange& range) {
    range.awaits_first_reduce = true;
    range.is_summed = false;
    if (range.layout.trainable && range.gradient_is_whole()) clear_gradients(range, range.gradients);
  });
}

void ParameterStore::clear_gradients(const ShardedRange& range, TensorView whole) {
  for (const FlatTensor& tensor : range.layout.tensors) untouched_[range.unit][tensor.param] = 1;
  const std::int64_t padding = range.layout.padded - range.layout.count;
  if (padding > 0) execution_->ops.fill(execution_->compute, whole.range(range.layout.count, padding), 0);
}

void ParameterStore::write_zeros(const ShardedRange& range, const std::vector<TensorView>& gradients) {
  for (const FlatTensor& tensor : range.layout.tensors)
    if (begins(range.unit, tensor.param)) execution_->ops.fill(execution_->compute, gradients[tensor.param], 0);
}

UnitLease ParameterStore::gradient(std::size_t unit) {
  const std::int64_t bytes = contribution_bytes(memory_.of_unit(unit));
  if (bytes == 0) return {this, unit, kNoSlot, &kept_gradients_.at(unit), LeaseKind::gradient};
  const std::optional<std::size_t> found = contributions_.free_slot(bytes);
  FERULA_CHECK(found.has_value(), "no slot is free for the gradient of {}", model_.at(unit).name);
  UnitSlot& slot = contributions_.at(*found);
  slot.unit = unit;
  slot.leased = true;
  slot.tensors.assign(kept_gradients_.at(unit).begin(), kept_gradients_.at(unit).end());
  execution_->compute.wait(slot.idle);
  for_each_in_slot(memory_.of_unit(unit), slot.memory, contributed_dtype, [&](ShardedRange& range, TensorView whole) {
    clear_gradients(range, whole);
    point_tensors(model_[unit], range, whole, slot.tensors);
  });
  return {this, unit, kFirstContribution + *found, &slot.tensors, LeaseKind::gradient};
}

void ParameterStore::reduce(UnitLease contribution, GradientState state) {
  const std::size_t unit = contribution.unit();
  for (const ShardedRange& range : memory_.of_unit(unit)) {
    if (!range.layout.trainable) continue;
    if (!range.gradient_is_whole())
      write_zeros(range, contributions_.at(contribution.slot() - kFirstContribution).tensors);
    else if (state == GradientState::complete)
      write_zeros(range, kept_gradients_[unit]);
  }
  const PhaseTimes::Scope exposed(execution_->phases, Phase::communication);
  execution_->communication.wait(execution_->compute.record());
  if (contribution.slot() != kNoSlot) reduce_slot(std::move(contribution));
  if (state == GradientState::partial) return;
  for (ShardedRange& range : memory_.of_unit(unit)) finish(range);
}

void ParameterStore::reduce_slot(UnitLease contribution) {
  Stream& stream = execution_->communication;
  UnitSlot& slot = contributions_.at(contribution.slot() - kFirstContribution);
  for_each_in_slot(
      memory_.of_unit(contribution.unit()), slot.memory, contributed_dtype, [&](ShardedRange& range, TensorView whole) {
        const bool is_first = std::exchange(range.awaits_first_reduce, false);
        const TensorView mine = is_first ? range.gradients : whole.range(range.gradient.begin, range.gradient.count());
        range.plan.gradient.shard->reduce_scatter(stream, whole, mine, ReduceOp::sum);
        if (!is_first) execution_->ops.add(stream, range.gradients, mine);
      });
  const Event done = stream.record();
  contribution.release();
  slot.idle = done;
}

void ParameterStore::finish(ShardedRange& range) {
  if (!range.layout.trainable || std::exchange(range.is_summed, true)) return;
  Stream& stream = execution_->communication;
  if (range.awaits_first_reduce && !range.gradient_is_whole()) execution_->ops.fill(stream, range.gradients, 0);
  const TensorView mine = range.optimizer_gradient();
  range.plan.scatter->reduce_scatter(stream, range.gradients, mine, ReduceOp::sum);
  range.plan.combine->all_reduce(stream, mine, ReduceOp::sum);
}

void ParameterStore::finish_gradients() {
  memory_.for_each([this](const ShardedRange& range) {
    if (range.layout.trainable && range.gradient_is_whole()) write_zeros(range, kept_gradients_[range.unit]);
  });
  const PhaseTimes::Scope exposed(execution_->phases, Phase::communication);
  execution_->communication.wait(execution_->compute.record());
  memory_.for_each([this](ShardedRange& range) { finish(range); });
  execution_->compute.wait(execution_->communication.record());
}

double ParameterStore::gradient_norm() {
  const PhaseTimes::Scope timed(execution_->phases, Phase::optimizer);
  const TensorView total = norm_total_.flat(DType::f64);
  const std::span<double> sum = total.span<double>();
  sum[0] = 0.0;  // the last norm was waited for
  memory_.for_each([&](ShardedRange& range) {
    if (range.layout.trainable) execution_->ops.sum_of_squares(execution_->compute, range.optimizer_gradient(), total);
  });
  const PhaseTimes::Scope exposed(execution_->phases, Phase::communication);
  execution_->communication.wait(execution_->compute.record());
  norm_group_->all_reduce(execution_->communication, total, ReduceOp::sum);
  execution_->communication.synchronize();
  return std::sqrt(sum[0]);
}

// --- update ---------------------------------------------------------------------------------------------------------

void ParameterStore::write_step_scalars(const OptimizerStep& step) {
  const auto power = [&](double beta) { return 1.0 - std::pow(beta, static_cast<double>(step.step)); };
  const bool corrects = settings_.rule.bias_correction;
  execution_->compute.synchronize(scalars_fetched_.ticket);
  const std::span<float> scalars = host_scalars_.flat(DType::f32).span<float>();
  scalars[kLearningRate] = static_cast<float>(step.learning_rate);
  scalars[kGradientScale] = static_cast<float>(step.gradient_scale);
  scalars[kCorrection1] = corrects ? static_cast<float>(power(settings_.rule.beta1)) : 1.0f;
  scalars[kCorrection2] = corrects ? static_cast<float>(power(settings_.rule.beta2)) : 1.0f;
  scalars[kFirstStep] = step.step == 1 ? 1.0f : 0.0f;
  execution_->device.copy(execution_->compute, host_scalars_.data(), step_scalars_.data(), step_scalars_.bytes());
  scalars_fetched_ = execution_->compute.record();
}

void ParameterStore::update(const OptimizerStep& step) {
  const PhaseTimes::Scope timed(execution_->phases, Phase::optimizer);
  write_step_scalars(step);
  memory_.for_each([&](ShardedRange& range) {
    if (!range.layout.trainable || range.is_offloaded()) return;
    const OptimizerRange mine{.gradient = range.optimizer_gradient(),
                              .master = range.master,
                              .value = range.has_own_master() ? range.optimizer_value() : TensorView{},
                              .moment1 = range.moment1,
                              .moment2 = range.moment2,
                              .decay = range.decay};
    execution_->ops.optimizer_update(execution_->compute, settings_.rule, step_scalars_.flat(DType::f32), mine);
  });
  offloaded_update_.run(settings_.rule, host_scalars_.flat(DType::f32));
  publish_values();
}

void ParameterStore::publish_values() {
  const PhaseTimes::Scope exposed(execution_->phases, Phase::communication);
  Stream& stream = execution_->communication;
  stream.wait(execution_->compute.record());
  memory_.for_each([&](ShardedRange& range) {
    if (range.layout.trainable) range.plan.publish->all_gather(stream, range.optimizer_value(), range.value);
  });
  execution_->compute.wait(stream.record());
  forget_gathered();
}

}  // namespace ferula
