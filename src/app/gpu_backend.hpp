// What the program wants of GPUs. libferula_cuda.so implements it, a library of its own, so that the program starts on
// machines without CUDA; `app/gpu_library.hpp` opens it.
#pragma once

#include <memory>
#include <vector>

#include "comm/nccl_api.hpp"
#include "device/device.hpp"
#include "device/gpu_info.hpp"
#include "ops/determinism.hpp"
#include "ops/ops.hpp"

namespace ferula {

/// Objects that it makes are used and destroyed before the backend.
class GpuBackend {
 public:
  virtual ~GpuBackend() = default;
  /// The visible GPUs; empty where there is none. Throws DeviceError where the driver is missing or too old.
  virtual std::vector<GpuInfo> gpus() const = 0;
  /// The calling thread becomes the rank's: all its launches go to this GPU. `ledger` outlives the device.
  virtual std::unique_ptr<Device> make_device(int index, MemoryLedger& ledger) const = 0;
  /// `device` is one of `make_device` and outlives the result.
  virtual std::unique_ptr<Ops> make_ops(Device& device, Determinism determinism) const = 0;
  /// NCCL for the GPU of the calling thread, or why there is none. Throws as `open_nccl`.
  virtual NcclOpening make_nccl() const = 0;
};

/// Changes with this file and with every class whose objects pass between program and library.
inline constexpr int kGpuAbi = 3;

/// What the library's only exported function returns.
struct GpuEntry {
  int abi = 0;  // kGpuAbi of the library; `make` is called only if it is the program's
  std::unique_ptr<GpuBackend> (*make)() = nullptr;
};
using GpuEntryFunction = GpuEntry (*)();
inline constexpr const char* kGpuEntryName = "ferula_gpu_entry";

}  // namespace ferula
