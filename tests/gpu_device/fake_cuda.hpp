// A CUDA runtime that is made up, for tests of what becomes of its errors: it has one GPU and does nothing.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <string>

namespace ferula::gpu_test {

struct FakeCuda {
  int gpus = 1;
  std::int64_t memory_bytes = std::int64_t{64} << 20;
  std::int64_t taken_bytes = 0;                // by cudaMalloc
  std::map<std::string, cudaError_t> fails{};  // what a function returns, by its name
  cudaError_t last = cudaSuccess;              // what cudaGetLastError tells, once
};

/// The one of this process.
FakeCuda& fake_cuda();

}  // namespace ferula::gpu_test
