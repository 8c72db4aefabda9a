#include "timing.hpp"

#include <algorithm>
#include <vector>

#include "device/cuda/cuda_stream.hpp"

namespace ferula::gpu_test {
namespace {

constexpr int kRounds = 9;
constexpr double kRoundSeconds = 4e-3;

CudaEventHandle make_event() {
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreate(&event), "cudaEventCreate");
  return CudaEventHandle(event);
}

}  // namespace

GpuTimer::GpuTimer(Device& device) : stream_(device.make_stream()), begin_(make_event()), end_(make_event()) {}

double GpuTimer::round(const std::function<void()>& call, int calls) {
  check_cuda(cudaEventRecord(begin_.get(), native_stream(*stream_)), "cudaEventRecord");
  for (int each = 0; each < calls; ++each) call();
  check_cuda(cudaEventRecord(end_.get(), native_stream(*stream_)), "cudaEventRecord");
  check_cuda(cudaEventSynchronize(end_.get()), "cudaEventSynchronize");
  float milliseconds = 0.0f;
  check_cuda(cudaEventElapsedTime(&milliseconds, begin_.get(), end_.get()), "cudaEventElapsedTime");
  return 1e-3 * static_cast<double>(milliseconds) / calls;
}

double GpuTimer::seconds(const std::function<void()>& call) {
  for (int each = 0; each < 3; ++each) call();
  const int calls = std::clamp(static_cast<int>(kRoundSeconds / std::max(round(call, 1), 1e-7)), 1, 200);
  std::vector<double> rounds;
  for (int each = 0; each < kRounds; ++each) rounds.push_back(round(call, calls));
  std::nth_element(rounds.begin(), rounds.begin() + kRounds / 2, rounds.end());
  return rounds[kRounds / 2];
}

double copy_bandwidth(Device& device, GpuTimer& timer, std::int64_t bytes) {
  const std::int64_t half = bytes / 2;
  const Buffer from = device.allocate(half, MemoryKind::buffers), to = device.allocate(half, MemoryKind::buffers);
  const double seconds = timer.seconds([&] { device.copy(timer.stream(), from.data(), to.data(), half); });
  return 2.0 * static_cast<double>(half) / seconds;
}

}  // namespace ferula::gpu_test
