// Times work of a GPU with events, and probes what its memory can do.
#pragma once

#include <functional>

#include "device/cuda/cuda_error.hpp"
#include "gpu.hpp"

namespace ferula::gpu_test {

/// Calls work again and again on one stream.
class GpuTimer {
 public:
  explicit GpuTimer(Device& device);
  Stream& stream() { return *stream_; }

  /// Seconds of one call: after three calls that do not count, the median over `kRounds` rounds of as many calls as
  /// take a few milliseconds.
  double seconds(const std::function<void()>& call);

 private:
  double round(const std::function<void()>& call, int calls);

  std::unique_ptr<Stream> stream_;
  CudaEventHandle begin_, end_;
};

/// Bytes a second that a copy of memory reads and writes together, of `bytes` in all. Few may be held by the cache.
double copy_bandwidth(Device& device, GpuTimer& timer, std::int64_t bytes = std::int64_t{1} << 31);

}  // namespace ferula::gpu_test
