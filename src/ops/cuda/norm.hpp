// Layer norm and RMS norm, forward and backward. Contracts: ops/ops.hpp.
#pragma once

#include "ops/cuda/workspace.hpp"
#include "ops/ops.hpp"

namespace ferula::cuda {

void residual_norm(int multiprocessors, cudaStream_t stream, const NormSpec& spec, TensorView residual,
                   TensorView delta, TensorView weight, TensorView bias, TensorView y, TensorView statistics);

/// Bytes of the workspace that norm_backward takes on a GPU of `multiprocessors`.
std::int64_t norm_backward_scratch(int multiprocessors, std::int64_t rows, std::int64_t width);
/// The gradients of weight and bias are summed by blocks of rows, then over the blocks in order.
void norm_backward(Workspace& workspace, int multiprocessors, cudaStream_t stream, const NormSpec& spec, TensorView dy,
                   TensorView x, TensorView weight, TensorView statistics, TensorView dx, Accumulate accumulate,
                   TensorView dweight, TensorView dbias);

}  // namespace ferula::cuda
