// What the program wants of GPUs. libferula_cuda.so implements it, a library of its own, so that the program starts on
// machines without CUDA; `app/gpu_library.hpp` opens it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device/device.hpp"
#include "ops/ops.hpp"

namespace ferula {

/// One GPU that this process sees, as the driver describes it.
struct GpuInfo {
  int index = 0;     // among the visible ones: "cuda:INDEX"
  std::string name;  // "NVIDIA RTX A5000"
  std::string uuid;  // "GPU-1b2c…": the same whatever CUDA_VISIBLE_DEVICES says
  std::string pci;   // "0000:3b:00.0"
  std::int64_t memory_bytes = 0;
  std::int64_t free_bytes = 0;
  int capability_major = 0;
  int capability_minor = 0;
};

/// Objects that it makes are used and destroyed before the backend.
class GpuBackend {
 public:
  virtual ~GpuBackend() = default;
  /// The visible GPUs; empty where there is none. Throws DeviceError where the driver is missing or too old.
  virtual std::vector<GpuInfo> gpus() const = 0;
  /// The calling thread becomes the rank's: all its launches go to this GPU. `ledger` outlives the device.
  virtual std::unique_ptr<Device> make_device(int index, MemoryLedger& ledger) const = 0;
  /// `device` is one of `make_device` and outlives the result.
  virtual std::unique_ptr<Ops> make_ops(Device& device) const = 0;
};

/// Changes with this file and with every class whose objects pass between program and library.
inline constexpr int kGpuAbi = 1;

/// What the library's only exported function returns.
struct GpuEntry {
  int abi = 0;  // kGpuAbi of the library; `make` is called only if it is the program's
  std::unique_ptr<GpuBackend> (*make)() = nullptr;
};
using GpuEntryFunction = GpuEntry (*)();
inline constexpr const char* kGpuEntryName = "ferula_gpu_entry";

}  // namespace ferula
