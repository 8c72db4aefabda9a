// Additions, copies, conversions, constants and sums of squares. Contracts: ops/ops.hpp.
#pragma once

#include <cuda_runtime_api.h>

#include "device/tensor_view.hpp"

namespace ferula::cuda {

class Workspace;

void add(cudaStream_t stream, TensorView x, TensorView y);
void copy(cudaStream_t stream, TensorView from, TensorView to);
void fill(cudaStream_t stream, TensorView x, float value);
void gather_rows(cudaStream_t stream, TensorView x, TensorView row, TensorView y);
/// Partial sums of blocks whose number depends on the count alone, then their sum in order: the same bits always.
void sum_of_squares(Workspace& workspace, cudaStream_t stream, TensorView x, TensorView total);

}  // namespace ferula::cuda
