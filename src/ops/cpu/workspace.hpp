// The scratch memory of one rank's CPU operations: grows in the first steps, then stays.
#pragma once

#include <mutex>

#include "device/device.hpp"

namespace ferula::cpu {

/// Counted by the ledger under `buffers`. One operation at a time holds it; a second one waits.
class Workspace {
 public:
  explicit Workspace(Device& device) : device_(&device) {}

  /// Hands out 64-byte aligned pieces of the workspace, which it holds exclusively while it lives.
  class Lease {
   public:
    /// An uninitialised contiguous view; FERULA_CHECK fails beyond the bytes that were asked for.
    TensorView take(DType dtype, std::initializer_list<std::int64_t> shape);

   private:
    friend class Workspace;
    Lease(std::unique_lock<std::mutex> lock, TensorView memory) : lock_(std::move(lock)), memory_(memory) {}

    std::unique_lock<std::mutex> lock_;
    TensorView memory_;
    std::int64_t used_ = 0;
  };

  /// Makes the capacity at least `bytes` and hands it out. Allocates only when it has to grow.
  Lease lease(std::int64_t bytes);
  /// Gives the memory back, once nobody holds it.
  void release();

 private:
  Device* device_;
  std::mutex mutex_;
  Buffer buffer_;
};

/// Bytes that `take` needs for `count` elements, alignment included.
std::int64_t scratch_bytes(DType dtype, std::int64_t count);

}  // namespace ferula::cpu
