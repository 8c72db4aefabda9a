// Leases: whole tensors of a unit for as long as somebody needs them.
#include <utility>

#include "params/parameter_store.hpp"

namespace ferula {

UnitLease::UnitLease(UnitLease&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      unit_(other.unit_),
      slot_(other.slot_),
      tensors_(other.tensors_),
      kind_(other.kind_) {}

UnitLease& UnitLease::operator=(UnitLease&& other) noexcept {
  if (this != &other) {
    release();
    store_ = std::exchange(other.store_, nullptr);
    unit_ = other.unit_;
    slot_ = other.slot_;
    tensors_ = other.tensors_;
    kind_ = other.kind_;
  }
  return *this;
}

TensorView UnitLease::tensor(std::size_t param) const { return joined(param, 1); }

TensorView UnitLease::view_of(std::size_t first, std::size_t n) const {
  FERULA_CHECK(store_ != nullptr, "the lease was released");
  TensorView whole = tensors_->at(first);
  if (whole.data == nullptr) return whole;
  for (std::size_t index = first + 1; index < first + n; ++index) {
    const TensorView next = tensors_->at(index);
    FERULA_CHECK(next.data == whole.data + whole.bytes(), "tensor {} of unit {} is not joined to the one before", index,
                 unit_);
    whole.dims[0] += next.dim(0);
  }
  return whole;
}

TensorView UnitLease::joined(std::size_t first, std::size_t n) const {
  const TensorView whole = view_of(first, n);
  if (kind_ == LeaseKind::values || whole.data == nullptr) return whole;
  for (std::size_t index = first; index < first + n; ++index)
    if (store_->begins(unit_, index)) store_->execution_->ops.fill(store_->execution_->compute, tensors_->at(index), 0);
  return whole;
}

GradientTarget UnitLease::target(std::size_t first, std::size_t n) const {
  const TensorView whole = view_of(first, n);
  bool all_begin = kind_ == LeaseKind::gradient && whole.data != nullptr;
  for (std::size_t index = first; all_begin && index < first + n; ++index)
    all_begin = store_->untouched_[unit_][index] != 0;
  if (!all_begin) return {joined(first, n), Accumulate::add};
  for (std::size_t index = first; index < first + n; ++index) store_->begins(unit_, index);
  return {whole, Accumulate::overwrite};
}

WeightView UnitLease::weight(std::size_t first, std::size_t n) const {
  const TensorView values = joined(first, n);
  return {
      .values = values, .scales = {}, .prepared = store_->prepared(unit_, first, values), .version = store_->version_};
}

void UnitLease::release() {
  if (store_ != nullptr) std::exchange(store_, nullptr)->release(unit_, slot_);
}

}  // namespace ferula
