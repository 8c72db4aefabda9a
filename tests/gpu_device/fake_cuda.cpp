#include "fake_cuda.hpp"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace ferula::gpu_test {

FakeCuda& fake_cuda() {
  static FakeCuda state;
  return state;
}

namespace {

cudaError_t status_of(const char* function) {
  const auto found = fake_cuda().fails.find(function);
  return found == fake_cuda().fails.end() ? cudaSuccess : found->second;
}

std::map<void*, std::int64_t>& blocks() {
  static std::map<void*, std::int64_t> taken;
  return taken;
}

}  // namespace
}  // namespace ferula::gpu_test

using ferula::gpu_test::blocks;
using ferula::gpu_test::fake_cuda;
using ferula::gpu_test::status_of;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = fake_cuda().gpus;
  return status_of("cudaGetDeviceCount");
}
cudaError_t cudaSetDevice(int) { return status_of("cudaSetDevice"); }
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "Imaginary 9");
  properties->totalGlobalMem = static_cast<std::size_t>(fake_cuda().memory_bytes);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int) {
  std::snprintf(text, static_cast<std::size_t>(length), "0000:01:00.0");
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return std::exchange(fake_cuda().last, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t) { return "words of the runtime"; }
const char* cudaGetErrorName(cudaError_t status) {
  static thread_local std::string name;
  name = "cudaError" + std::to_string(static_cast<int>(status));
  return name.c_str();
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  if (fake_cuda().taken_bytes + static_cast<std::int64_t>(bytes) > fake_cuda().memory_bytes)
    return fake_cuda().last = cudaErrorMemoryAllocation;
  *memory = std::malloc(bytes);
  blocks()[*memory] = static_cast<std::int64_t>(bytes);
  fake_cuda().taken_bytes += static_cast<std::int64_t>(bytes);
  return status_of("cudaMalloc");
}
cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return status_of("cudaFree");
  fake_cuda().taken_bytes -= blocks()[memory];
  blocks().erase(memory);
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  *memory = std::malloc(bytes);
  return status_of("cudaHostAlloc");
}
cudaError_t cudaFreeHost(void* memory) {
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* all) {
  *free = static_cast<std::size_t>(fake_cuda().memory_bytes - fake_cuda().taken_bytes);
  *all = static_cast<std::size_t>(fake_cuda().memory_bytes);
  return cudaSuccess;
}
cudaError_t cudaMemset(void*, int, std::size_t) { return cudaSuccess; }
cudaError_t cudaMemcpyAsync(void*, const void*, std::size_t, cudaMemcpyKind, cudaStream_t) {
  return status_of("cudaMemcpyAsync");
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = reinterpret_cast<cudaStream_t>(1);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return stream == nullptr ? cudaSuccess : status_of("cudaStreamSynchronize");
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(1);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return status_of("cudaEventRecord"); }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return status_of("cudaEventSynchronize"); }

}  // extern "C"
