// GELU and SwiGLU with their gradients. Contracts: ops/ops.hpp.
#pragma once

#include <cuda_runtime_api.h>

#include "device/tensor_view.hpp"

namespace ferula::cuda {

void gelu(cudaStream_t stream, TensorView x, TensorView y);
void gelu_backward(cudaStream_t stream, TensorView x, TensorView dy, TensorView dx);
void swiglu(cudaStream_t stream, TensorView gate_up, TensorView y);
void swiglu_backward(cudaStream_t stream, TensorView gate_up, TensorView dy, TensorView dgate_up);

}  // namespace ferula::cuda
