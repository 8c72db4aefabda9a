// Sums over the rows of a matrix, in an order that depends on its shape alone.
#pragma once

#include <cuda_runtime_api.h>

#include "device/tensor_view.hpp"
#include "ops/cuda/workspace.hpp"

namespace ferula::cuda {

/// total[column] += Σ partial[row, column]; partial [rows, width] contiguous.
void add_column_sums(cudaStream_t stream, const float* partial, std::int64_t rows, std::int64_t width, float* total);

/// Bytes of the workspace that column_sums takes on a GPU of `multiprocessors`.
std::int64_t column_sums_scratch(int multiprocessors, std::int64_t rows, std::int64_t width);
/// total [width] f32 += the column sums of x [rows, width] f32 or bf16.
void column_sums(Workspace& workspace, int multiprocessors, cudaStream_t stream, TensorView x, TensorView total);

}  // namespace ferula::cuda
