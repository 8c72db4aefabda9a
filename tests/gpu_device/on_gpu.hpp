// Tiny runs on a GPU.
#pragma once

#include "device/cuda/cuda_device.hpp"
#include "ops/cuda/cuda_ops.hpp"
#include "support/train/tiny_run.hpp"

namespace ferula::gpu_test {

// A few steps of AdamW: f32 sums in another order move a loss by some 1e-6; bf16 rounds at other places.
inline constexpr double kF32Bound = 1e-4;
inline constexpr double kBf16Bound = 2e-2;
inline double bound_of(const test::TinyRun& run) { return run.compute == DType::f32 ? kF32Bound : kBf16Bound; }

inline test::TinyRun on_gpu(test::TinyRun run) {
  run.make_device = [](MemoryLedger& ledger) { return make_cuda_device(0, ledger); };
  run.make_ops = [](Device& device) { return make_cuda_ops(device, Determinism::same_bits); };
  run.staged_bytes = 64 << 10;
  return run;
}

}  // namespace ferula::gpu_test
