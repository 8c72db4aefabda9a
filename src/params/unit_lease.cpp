// Leases: whole tensors of a unit for as long as somebody needs them.
#include <utility>

#include "params/parameter_store.hpp"

namespace ferula {

UnitLease::UnitLease(UnitLease&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), unit_(other.unit_), slot_(other.slot_), tensors_(other.tensors_) {}

UnitLease& UnitLease::operator=(UnitLease&& other) noexcept {
  if (this != &other) {
    release();
    store_ = std::exchange(other.store_, nullptr);
    unit_ = other.unit_;
    slot_ = other.slot_;
    tensors_ = other.tensors_;
  }
  return *this;
}

TensorView UnitLease::tensor(std::size_t param) const {
  FERULA_CHECK(store_ != nullptr, "the lease was released");
  return tensors_->at(param);
}

TensorView UnitLease::joined(std::size_t first, std::size_t n) const {
  TensorView whole = tensor(first);
  if (whole.data == nullptr) return whole;
  for (std::size_t index = first + 1; index < first + n; ++index) {
    const TensorView next = tensor(index);
    FERULA_CHECK(next.data == whole.data + whole.bytes(), "tensor {} of unit {} is not joined to the one before", index,
                 unit_);
    whole.dims[0] += next.dim(0);
  }
  return whole;
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
