// The cross-entropy loss and its gradient. Contract: ops/ops.hpp.
#pragma once

#include <cuda_runtime_api.h>

#include "device/tensor_view.hpp"

namespace ferula::cuda {

/// What the loss asks of a GPU to choose its kernel.
struct LossGpu {
  int multiprocessors = 1;
  std::int64_t multiprocessor_shared_bytes = 0;  // of one: long rows run one a multiprocessor
  std::int64_t cache_bytes = 0;  // of the L2 cache: the next rows are fetched into it where it holds them
};

void cross_entropy(cudaStream_t stream, const LossGpu& gpu, TensorView logits, TensorView target,
                   std::int64_t vocabulary, float scale, TensorView losses, TensorView dlogits);

}  // namespace ferula::cuda
