// The cross-entropy loss and its gradient. Contract: ops/ops.hpp.
#pragma once

#include <cuda_runtime_api.h>

#include "device/tensor_view.hpp"

namespace ferula::cuda {

/// `multiprocessor_shared_bytes` is what one multiprocessor of the GPU has: long rows run one a multiprocessor.
void cross_entropy(cudaStream_t stream, std::int64_t multiprocessor_shared_bytes, TensorView logits, TensorView target,
                   std::int64_t vocabulary, float scale, TensorView losses, TensorView dlogits);

}  // namespace ferula::cuda
