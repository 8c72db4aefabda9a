#include "gpu.hpp"

#include <cuda_runtime_api.h>

#include "device/cuda/cuda_device.hpp"
#include "ops/cuda/cuda_ops.hpp"

namespace ferula::gpu_test {

std::string why_no_gpu() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess)
    return fmt::format("no GPU: {} ({})", cudaGetErrorString(status), cudaGetErrorName(status));
  return count > 0 ? "" : "no GPU: none is visible";
}

GpuBench::GpuBench(Determinism determinism)
    : device_(make_cuda_device(0, ledger_)), ops_(make_cuda_ops(*device_, determinism)) {}

}  // namespace ferula::gpu_test
