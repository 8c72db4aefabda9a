// Sums over the rows of a matrix, in an order that depends on its shape alone.
#pragma once

#include <cuda_runtime_api.h>

#include "device/tensor_view.hpp"
#include "ops/cuda/workspace.hpp"

namespace ferula::cuda {

/// What blocks have summed, partial [rows, width] contiguous, and the total [width] that it is added to.
struct PartialSums {
  const float* partial = nullptr;
  float* total = nullptr;  // null: nothing to do
};

/// total[column] += Σ partial[row, column], for both in one launch.
void add_column_sums(cudaStream_t stream, PartialSums first, PartialSums second, std::int64_t rows, std::int64_t width);

/// Bytes of the workspace that column_sums takes on a GPU of `multiprocessors`.
std::int64_t column_sums_scratch(int multiprocessors, std::int64_t rows, std::int64_t width);
/// total [width] f32 += the column sums of x [rows, width] f32 or bf16.
void column_sums(Workspace& workspace, int multiprocessors, cudaStream_t stream, TensorView x, TensorView total);

}  // namespace ferula::cuda
