// Scratch memory that grows.
#include "ops/cpu/workspace.hpp"

#include "base/narrow.hpp"

namespace ferula::cpu {
namespace {
constexpr std::int64_t kAlignment = 64;
}

std::int64_t scratch_bytes(DType dtype, std::int64_t count) { return round_up(bytes_of(dtype, count), kAlignment); }

TensorView Workspace::Lease::take(DType dtype, std::initializer_list<std::int64_t> shape) {
  TensorView piece(nullptr, dtype, shape);
  const std::int64_t bytes = scratch_bytes(dtype, piece.count());
  FERULA_CHECK(used_ + bytes <= memory_.bytes(), "took {} + {} of {} bytes of scratch", used_, bytes, memory_.bytes());
  piece.data = memory_.data + used_;
  used_ += bytes;
  return piece;
}

Workspace::Lease Workspace::lease(std::int64_t bytes) {
  std::unique_lock lock(mutex_);
  if (buffer_.bytes() < bytes) {
    buffer_.reset();
    buffer_ = device_->allocate(bytes, MemoryKind::buffers);
  }
  return {std::move(lock), buffer_.flat(DType::u8)};
}

void Workspace::release() {
  const std::lock_guard lock(mutex_);
  buffer_.reset();
}

}  // namespace ferula::cpu
