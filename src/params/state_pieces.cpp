// The state of a store as checkpoints see it: pieces of named tensors.
#include "base/philox.hpp"
#include "ops/optimizer_range.hpp"
#include "params/parameter_store.hpp"

namespace ferula {
namespace {

/// Part `index` of an extent cut into `parts` nearly equal pieces.
Extent portion(Extent whole, int index, int parts) {
  return {whole.begin + whole.count() * index / parts, whole.begin + whole.count() * (index + 1) / parts};
}

/// One kind of state of a range: `view` holds `extent`.
struct RoleView {
  StateRole role;
  Extent extent;
  TensorView view;
};

std::string moment1_name(const OptimizerRule& rule) { return rule.kind == OptimizerKind::sgd ? "momentum" : "exp_avg"; }

std::vector<RoleView> role_views(const ShardedRange& range, const OptimizerRule& rule) {
  std::vector<RoleView> views{{{"value", range.layout.storage}, range.parameter, range.value}};
  if (!range.layout.trainable) return views;
  if (range.has_own_master()) views.push_back({{"master", DType::f32}, range.optimizer, range.master});
  if (keeps_moment1(rule)) views.push_back({{moment1_name(rule), DType::f32}, range.optimizer, range.moment1});
  if (keeps_moment2(rule)) views.push_back({{"exp_avg_sq", DType::f32}, range.optimizer, range.moment2});
  return views;
}

/// The pieces of the tensors of `range` within `wanted`.
void append_pieces(const UnitSpec& unit, const ShardedRange& range, const RoleView& state, Extent wanted,
                   std::vector<OwnedPiece>& pieces) {
  for (const FlatTensor& tensor : range.layout.tensors) {
    const Extent part = intersect({tensor.begin, tensor.begin + tensor.count}, wanted);
    if (part.count() == 0) continue;
    const ParamSpec& param = unit.params[tensor.param];
    pieces.push_back({.tensor = param.name,
                      .global_shape = param.shape,
                      .role = state.role.name,
                      .offset = part.begin - tensor.begin,
                      .data = state.view.range(part.begin - state.extent.begin, part.count())});
  }
}

/// What this rank writes of a range: its finest piece, shared out among the ranks that hold the same one.
Extent owned_extent(const ShardedRange& range) {
  const Placement& placement = range.layout.trainable ? range.plan.optimizer : range.plan.parameter;
  const Extent held = range.layout.trainable ? range.optimizer : range.parameter;
  return portion(held, placement.replica->rank(), placement.replica->size());
}

}  // namespace

const ModelSpec& ParameterStore::model() const { return model_; }

void ParameterStore::initialize(std::uint64_t seed) {
  Ops& ops = execution_->ops;
  Stream& stream = execution_->compute;
  memory_.for_each([&](ShardedRange& range) {
    const TensorView target = range.layout.trainable ? range.reachable_master() : range.value;
    const Extent held = range.layout.trainable ? range.optimizer : range.parameter;
    for (const FlatTensor& tensor : range.layout.tensors) {
      const Extent part = intersect({tensor.begin, tensor.begin + tensor.count}, held);
      if (part.count() == 0) continue;
      const ParamSpec& param = model_[range.unit].params[tensor.param];
      const TensorView piece = target.range(part.begin - held.begin, part.count());
      if (param.init == InitKind::normal) {
        ops.fill_normal(stream, piece, random_key(seed, param.name), part.begin - tensor.begin, param.init_std);
      } else {
        ops.fill(stream, piece, param.init == InitKind::ones ? 1.0f : 0.0f);
      }
    }
    if (!range.has_own_master()) return;
    ops.copy(stream, target, range.optimizer_value());
    keep_master(range);
  });
  publish_values();
}

void ParameterStore::keep_master(const ShardedRange& range) {
  const TensorView made = range.reachable_master();
  if (made.data != range.master.data)
    execution_->device.copy(execution_->compute, made.data, range.master.data, made.bytes());
}

void ParameterStore::come_to_rest() const {
  execution_->compute.synchronize();
  execution_->communication.synchronize();
}

std::vector<StateRole> ParameterStore::roles() const {
  std::vector<StateRole> roles;
  const auto is_known = [&](const StateRole& role) {
    for (const StateRole& known : roles)
      if (known.name == role.name && known.dtype == role.dtype) return true;
    return false;
  };
  memory_.for_each([&](const ShardedRange& range) {
    for (const RoleView& state : role_views(range, settings_.rule))
      if (!is_known(state.role)) roles.push_back(state.role);
  });
  return roles;
}

std::vector<OwnedPiece> ParameterStore::owned_pieces() const {
  come_to_rest();
  std::vector<OwnedPiece> pieces;
  memory_.for_each([&](const ShardedRange& range) {
    for (const RoleView& state : role_views(range, settings_.rule))
      append_pieces(model_[range.unit], range, state, owned_extent(range), pieces);
  });
  return pieces;
}

std::vector<OwnedPiece> ParameterStore::needed_pieces() const {
  come_to_rest();
  std::vector<OwnedPiece> pieces;
  memory_.for_each([&](const ShardedRange& range) {
    for (const RoleView& state : role_views(range, settings_.rule))
      append_pieces(model_[range.unit], range, state, state.extent, pieces);
  });
  return pieces;
}

void ParameterStore::adopt_loaded_state(bool has_optimizer_state) {
  memory_.for_each([&](ShardedRange& range) {
    if (!range.has_own_master() || has_optimizer_state) return;
    execution_->ops.copy(execution_->compute, range.optimizer_value(), range.reachable_master());
    keep_master(range);
  });
  forget_gathered();
}

}  // namespace ferula
