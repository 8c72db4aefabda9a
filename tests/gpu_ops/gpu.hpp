// What tests and benchmarks of the CUDA operations need of the machine.
#pragma once

#include <string>

#include "device/device.hpp"
#include "ops/determinism.hpp"
#include "ops/ops.hpp"

namespace ferula::gpu_test {

/// Empty where a GPU can be used, else why not.
std::string why_no_gpu();

/// A GPU and its operations, with a ledger of their own.
class GpuBench {
 public:
  explicit GpuBench(Determinism determinism = Determinism::fastest);

  MemoryLedger& ledger() { return ledger_; }
  Device& device() { return *device_; }
  Ops& ops() { return *ops_; }

 private:
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Ops> ops_;
};

}  // namespace ferula::gpu_test
