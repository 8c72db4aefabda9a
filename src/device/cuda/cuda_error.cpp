#include "device/cuda/cuda_error.hpp"

namespace ferula {
namespace {

/// "cuda:1 (NVIDIA RTX A5000)", or "cuda" where not even that can be asked.
std::string current_gpu() {
  int index = 0;
  cudaDeviceProp properties{};
  if (cudaGetDevice(&index) != cudaSuccess) return "cuda";
  if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) return fmt::format("cuda:{}", index);
  return fmt::format("cuda:{} ({})", index, properties.name);
}

std::string_view remedy(cudaError_t status) {
  switch (status) {
    case cudaErrorInsufficientDriver:
      return "the driver is missing or older than this program's CUDA runtime: update the driver, or set [run] device "
             "= \"cpu\"";
    case cudaErrorNoDevice:
      return "no GPU is visible: look at nvidia-smi and CUDA_VISIBLE_DEVICES, or set [run] device = \"cpu\"";
    case cudaErrorNoKernelImageForDevice:
      return "this build has no code for this GPU: build with its compute capability in FERULA_CUDA_ARCHITECTURES";
    case cudaErrorECCUncorrectable:
    case cudaErrorHardwareStackError:
      return "the GPU has a fault: tell the administrator of this host, and start on another one";
    case cudaErrorMemoryAllocation:
      return "a higher zero_optimization.stage, a smaller train_micro_batch_size_per_gpu or more ranks need less a "
             "rank";
    default:
      return "an earlier operation of this rank may be the cause: CUDA_LAUNCH_BLOCKING=1 shows which; if it is not the "
             "machine, please report this with the log";
  }
}

}  // namespace

void throw_cuda_error(cudaError_t status, const std::string& what) {
  const std::string message = fmt::format("{}: {}: {} ({}); {}", current_gpu(), what, cudaGetErrorString(status),
                                          cudaGetErrorName(status), remedy(status));
  cudaGetLastError();  // an error that does not stick must not be found by the next call
  if (status == cudaErrorMemoryAllocation) throw CapacityError(message);
  throw DeviceError(message);
}

}  // namespace ferula
