// Rotary position embedding. Contract: ops/ops.hpp.
#pragma once

#include "ops/ops.hpp"

#include <cuda_runtime_api.h>

namespace ferula::cuda {

void rotary(cudaStream_t stream, TensorView x, TensorView position, float theta, RotaryDirection direction);

}  // namespace ferula::cuda
