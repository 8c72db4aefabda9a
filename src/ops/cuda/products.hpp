// The products of linear layers. Contracts: ops/ops.hpp.
#pragma once

#include "ops/cuda/matmul.hpp"
#include "ops/ops.hpp"

namespace ferula::cuda {

void linear(Matmul& matmul, cudaStream_t stream, TensorView x, TensorView w, TensorView bias, TensorView y,
            Accumulate accumulate);
void linear_backward_input(Matmul& matmul, cudaStream_t stream, TensorView dy, TensorView w, TensorView dx,
                           Accumulate accumulate);
void linear_backward_weight(Matmul& matmul, Workspace& workspace, int multiprocessors, cudaStream_t stream,
                            TensorView x, TensorView dy, TensorView dw, TensorView dbias);

}  // namespace ferula::cuda
