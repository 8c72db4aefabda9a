// The products of linear layers. Contracts: ops/ops.hpp.
#pragma once

#include "ops/cuda/matmul.hpp"
#include "ops/ops.hpp"

namespace ferula::cuda {

void linear(Matmul& matmul, cudaStream_t stream, TensorView x, TensorView w, TensorView bias, TensorView y,
            Accumulate accumulate);
void linear_backward_input(Matmul& matmul, cudaStream_t stream, TensorView dy, TensorView w, TensorView dx,
                           Accumulate accumulate);
/// gelu in the product's epilogue where the library can, else after it.
void linear_gelu(Matmul& matmul, cudaStream_t stream, TensorView x, TensorView w, TensorView bias, TensorView hidden,
                 TensorView y);
void linear_gelu_backward(Matmul& matmul, cudaStream_t stream, TensorView dy, TensorView w, TensorView hidden,
                          TensorView dhidden);
void linear_backward_weight(Matmul& matmul, Workspace& workspace, int multiprocessors, cudaStream_t stream,
                            TensorView x, TensorView dy, TensorView dw, Accumulate accumulate, TensorView dbias);

}  // namespace ferula::cuda
