// Owned memory: what the ledger counts, from its provider until it goes back.
#include <utility>

#include "device/device.hpp"

namespace ferula {

Buffer::Buffer(std::byte* data, std::int64_t bytes, MemoryKind kind, MemoryLedger* ledger, Release release)
    : data_(data), bytes_(bytes), kind_(kind), ledger_(ledger), release_(std::move(release)) {
  if (ledger_ != nullptr) ledger_->add(kind_, bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      kind_(other.kind_),
      ledger_(other.ledger_),
      release_(std::move(other.release_)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    reset();
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    kind_ = other.kind_;
    ledger_ = other.ledger_;
    release_ = std::move(other.release_);
  }
  return *this;
}

TensorView Buffer::view(DType dtype, std::initializer_list<std::int64_t> shape) const {
  TensorView view(data_, dtype, shape);
  FERULA_CHECK(view.bytes() <= bytes_, "a view of {} bytes into a buffer of {}", view.bytes(), bytes_);
  return view;
}

TensorView Buffer::flat(DType dtype) const {
  return {data_, dtype, {bytes_ / block_of(dtype).bytes * block_of(dtype).elements}};
}

void Buffer::reset() {
  if (data_ == nullptr) return;
  if (release_) release_(data_, bytes_);
  if (ledger_ != nullptr) ledger_->remove(kind_, bytes_);
  data_ = nullptr;
  bytes_ = 0;
}

}  // namespace ferula
