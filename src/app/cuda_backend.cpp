// What libferula_cuda.so exports: the backend for CUDA, by one function.
#include "app/gpu_backend.hpp"
#include "comm/nccl_library.hpp"
#include "device/cuda/cuda_device.hpp"
#include "device/cuda/visible_gpus.hpp"
#include "ops/cuda/cuda_ops.hpp"

namespace ferula {
namespace {

class CudaBackend final : public GpuBackend {
 public:
  std::vector<GpuInfo> gpus() const override { return visible_gpus(); }
  std::unique_ptr<Device> make_device(int index, MemoryLedger& ledger) const override {
    return make_cuda_device(index, ledger);
  }
  std::unique_ptr<Ops> make_ops(Device& device, Determinism determinism) const override {
    return make_cuda_ops(device, determinism);
  }
  NcclOpening make_nccl() const override { return open_nccl(); }
};

std::unique_ptr<GpuBackend> make_backend() { return std::make_unique<CudaBackend>(); }

}  // namespace
}  // namespace ferula

extern "C" __attribute__((visibility("default"))) ferula::GpuEntry ferula_gpu_entry() {
  return {.abi = ferula::kGpuAbi, .make = ferula::make_backend};
}
