// Turns a status of the CUDA runtime into an error of this program, and owns the runtime's handles.
#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/handle.hpp"

namespace ferula {

/// Throws CapacityError where `status` is "out of memory", else DeviceError: the current device of the thread by number
/// and name, what was done, the runtime's words, and what to do.
[[noreturn]] void throw_cuda_error(cudaError_t status, const std::string& what);

/// Throws as `throw_cuda_error` does unless `status` is a success. The rest (fmt syntax) names the call and its values:
/// check_cuda(cudaMalloc(&data, bytes), "cudaMalloc of {} bytes", bytes). After a launch:
/// check_cuda(cudaGetLastError(), "gelu of {} rows", rows).
template <class... Args>
void check_cuda(cudaError_t status, fmt::format_string<Args...> what, Args&&... args) {
  if (status != cudaSuccess) [[unlikely]]
    throw_cuda_error(status, fmt::format(what, std::forward<Args>(args)...));
}

struct CudaEventTraits {
  using type = cudaEvent_t;
  static type invalid() { return nullptr; }
  static void close(type event) noexcept { cudaEventDestroy(event); }
};
using CudaEventHandle = Handle<CudaEventTraits>;

struct CudaStreamTraits {
  using type = cudaStream_t;
  static type invalid() { return nullptr; }
  static void close(type stream) noexcept { cudaStreamDestroy(stream); }
};
using CudaStreamHandle = Handle<CudaStreamTraits>;

}  // namespace ferula
