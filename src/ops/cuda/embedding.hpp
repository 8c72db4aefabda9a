// Table look-ups by rows, and their gradients. Contracts: ops/ops.hpp.
#pragma once

#include <cuda_runtime_api.h>

#include "device/tensor_view.hpp"
#include "ops/cuda/workspace.hpp"

namespace ferula::cuda {

void embed(cudaStream_t stream, TensorView token, TensorView position, TensorView table, TensorView positions,
           TensorView y);

/// Rows are sorted by index without changing the order of equal ones; then each index sums its rows in that order.
/// Cost of the sort: rows² comparisons, which is little beside a step up to some hundred thousand rows.
void embed_backward(Workspace& workspace, cudaStream_t stream, TensorView token, TensorView position, TensorView dy,
                    TensorView dtable, TensorView dpositions);

}  // namespace ferula::cuda
