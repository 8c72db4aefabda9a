#include "device/arena.hpp"

#include <algorithm>

#include "base/narrow.hpp"

namespace ferula {
namespace {
constexpr std::int64_t kAlignment = 64;
}

std::int64_t arena_bytes(DType dtype, std::int64_t count) { return round_up(bytes_of(dtype, count), kAlignment); }

void Arena::reserve(std::int64_t bytes) {
  FERULA_CHECK(used_ == 0, "an arena in use cannot move ({} bytes are taken)", used_);
  if (bytes <= capacity_bytes()) return;
  buffer_.reset();
  buffer_ = device_->allocate(bytes, kind_);
}

TensorView Arena::take(DType dtype, std::initializer_list<std::int64_t> shape) {
  TensorView view(nullptr, dtype, shape);
  const std::int64_t bytes = arena_bytes(dtype, view.count());
  if (used_ + bytes > capacity_bytes())
    throw CapacityError(
        fmt::format("scratch memory on {}: expected at most {} bytes ({}), asked for {} more with {} in use; this is a "
                    "planning error, "
                    "please report it",
                    device_->name(), capacity_bytes(), name_of(kind_), bytes, used_));
  view.data = buffer_.data() + used_;
  used_ += bytes;
  high_water_ = std::max(high_water_, used_);
  return view;
}

}  // namespace ferula
