// Table look-ups by rows, and their gradients. Contracts: ops/ops.hpp.
#pragma once

#include <cuda_runtime_api.h>

#include "device/tensor_view.hpp"
#include "ops/cuda/workspace.hpp"

namespace ferula::cuda {

void embed(cudaStream_t stream, TensorView token, TensorView position, TensorView table, TensorView positions,
           TensorView y);

/// Look-ups are sorted by table row without changing the order of equal ones, tokens and positions in one list; then
/// each table row sums its rows in that order.
void embed_backward(Workspace& workspace, cudaStream_t stream, TensorView token, TensorView position, TensorView dy,
                    TensorView dtable, TensorView dpositions);

}  // namespace ferula::cuda
