// Scratch memory of the CUDA operations of a rank: grows in the first steps, then stays as it is.
#pragma once

#include <cuda_runtime_api.h>

#include <mutex>

#include "device/cuda/cuda_error.hpp"
#include "device/device.hpp"

namespace ferula::cuda {

/// One block of device memory that operations use one after the other in the order of their streams. When two streams
/// take turns, the later one waits on the GPU for the earlier.
class Workspace {
 public:
  explicit Workspace(Device& device);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// The memory of one operation, while its kernels are given to the stream.
  class Lease {
   public:
    Lease(Workspace& workspace, cudaStream_t stream, std::int64_t bytes);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    /// The next `count` elements, 256-byte aligned. Contents are undefined.
    template <class T>
    T* take(std::int64_t count) {
      return reinterpret_cast<T*>(take_bytes(count * static_cast<std::int64_t>(sizeof(T))));
    }

   private:
    std::byte* take_bytes(std::int64_t bytes);

    Workspace* workspace_;
    std::lock_guard<std::mutex> lock_;
    cudaStream_t stream_;
    std::int64_t used_ = 0;
  };

  Lease lease(cudaStream_t stream, std::int64_t bytes) { return {*this, stream, bytes}; }
  Device& device() { return *device_; }

 private:
  void grow(std::int64_t bytes);

  Device* device_;
  std::mutex mutex_;
  Buffer buffer_;
  cudaEvent_t used_until_ = nullptr;    // recorded behind the last lease
  cudaStream_t last_stream_ = nullptr;  // of the last lease
  bool was_used_ = false;
};

/// What `count` elements of `bytes` take of a lease.
std::int64_t scratch_bytes(std::int64_t count, std::int64_t bytes);

}  // namespace ferula::cuda
