// A stack of scratch memory: taken while a step runs, given back by scope, never allocated in a step.
#pragma once

#include "device/device.hpp"

namespace ferula {

/// Made once at its planned size (`reserve`) and then stays as it is.
/// Not thread-safe: one arena belongs to the one thread of a rank.
class Arena {
 public:
  /// No memory yet. The first `reserve` makes it; a `take` beyond the capacity throws CapacityError.
  Arena(Device& device, MemoryKind kind) : device_(&device), kind_(kind) {}

  /// Makes the capacity at least `bytes`; only while nothing is taken.
  void reserve(std::int64_t bytes);
  /// A contiguous 64-byte aligned view until the enclosing Scope ends. Contents are undefined.
  TensorView take(DType dtype, std::initializer_list<std::int64_t> shape);
  std::int64_t used_bytes() const { return used_; }
  std::int64_t high_water_bytes() const { return high_water_; }
  std::int64_t capacity_bytes() const { return buffer_.bytes(); }

  /// Everything taken after its construction is given back by its destructor.
  class Scope {
   public:
    explicit Scope(Arena& arena) : arena_(&arena), mark_(arena.used_) {}
    ~Scope() { arena_->used_ = mark_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena* arena_;
    std::int64_t mark_;
  };

 private:
  Device* device_;
  MemoryKind kind_;
  Buffer buffer_;
  std::int64_t used_ = 0;
  std::int64_t high_water_ = 0;
};

/// Bytes that `Arena::take` needs for a tensor, alignment included: for planning a capacity.
std::int64_t arena_bytes(DType dtype, std::int64_t count);

}  // namespace ferula
