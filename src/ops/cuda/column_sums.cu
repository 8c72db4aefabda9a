// Column sums in two steps: blocks of rows, then the blocks.
#include "ops/cuda/column_sums.hpp"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {
namespace {

constexpr int kColumnThreads = 32;
constexpr int kRowThreads = 8;       // of a block of the first step
constexpr int kPartialThreads = 32;  // rows that a block of the second step reads at once

/// A block of 32 columns; each thread sums every 32nd row, then the first of a column adds the others in order.
__global__ void __launch_bounds__(kColumnThreads* kPartialThreads)
    add_column_sums_kernel(const float* partial, std::int64_t rows, std::int64_t width, float* total) {
  __shared__ float sums[kPartialThreads][kColumnThreads + 1];
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kColumnThreads + threadIdx.x;
  float sum = 0.0f;
  if (column < width) {
#pragma unroll 4
    for (std::int64_t row = threadIdx.y; row < rows; row += kPartialThreads) sum += partial[row * width + column];
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  for (int other = 1; other < kPartialThreads; ++other) sum += sums[other][threadIdx.x];
  total[column] += sum;
}

/// partial[blockIdx.y, column] = Σ x[row, column] over the rows of the block: every gridDim.y · kRowThreads-th.
template <int V, class T>
__global__ void __launch_bounds__(kColumnThreads* kRowThreads)
    column_sums_kernel(Rows<const T> x, std::int64_t rows, std::int64_t width, float* partial) {
  __shared__ float sums[kRowThreads][kColumnThreads * V];
  const std::int64_t column = (static_cast<std::int64_t>(blockIdx.x) * kColumnThreads + threadIdx.x) * V;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.y) * kRowThreads;
  float sum[V] = {};
  if (column < width) {
#pragma unroll 4
    for (std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * kRowThreads + threadIdx.y; row < rows;
         row += step) {
      float values[V];
      load<V>(x.row(row) + column, values);
#pragma unroll
      for (int i = 0; i < V; ++i) sum[i] += values[i];
    }
  }
#pragma unroll
  for (int i = 0; i < V; ++i) sums[threadIdx.y][threadIdx.x * V + i] = sum[i];
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.y) * kColumnThreads + static_cast<int>(threadIdx.x); at < kColumnThreads * V;
       at += kColumnThreads * kRowThreads) {
    const std::int64_t target = static_cast<std::int64_t>(blockIdx.x) * kColumnThreads * V + at;
    if (target >= width) continue;
    float total = 0.0f;
#pragma unroll
    for (int row = 0; row < kRowThreads; ++row) total += sums[row][at];
    partial[blockIdx.y * width + target] = total;
  }
}

/// Blocks of rows: about eight blocks a multiprocessor, of at least four rows a thread.
std::int64_t row_blocks(int multiprocessors, std::int64_t rows, std::int64_t width) {
  const std::int64_t across = ceil_div(width, kColumnThreads * 8);
  const std::int64_t wanted = ceil_div(8 * static_cast<std::int64_t>(multiprocessors), across);
  return std::clamp<std::int64_t>(wanted, 1, ceil_div(rows, 4 * kRowThreads));
}

}  // namespace

void add_column_sums(cudaStream_t stream, const float* partial, std::int64_t rows, std::int64_t width, float* total) {
  add_column_sums_kernel<<<blocks_for(width, kColumnThreads), dim3(kColumnThreads, kPartialThreads), 0, stream>>>(
      partial, rows, width, total);
  check_launch("add_column_sums");
}

std::int64_t column_sums_scratch(int multiprocessors, std::int64_t rows, std::int64_t width) {
  return rows == 0 ? 0 : scratch_bytes(row_blocks(multiprocessors, rows, width) * width, sizeof(float));
}

void column_sums(Workspace& workspace, int multiprocessors, cudaStream_t stream, TensorView x, TensorView total) {
  const std::int64_t rows = x.dim(0), width = x.dim(1);
  if (rows == 0 || width == 0) return;
  const std::int64_t blocks = row_blocks(multiprocessors, rows, width);
  Workspace::Lease scratch = workspace.lease(stream, column_sums_scratch(multiprocessors, rows, width));
  float* partial = scratch.take<float>(blocks * width);
  with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int kWide = 16 / static_cast<int>(sizeof(T));
    const Rows<const T> matrix{elements<const T>(x), x.stride(0)};
    const dim3 shape(kColumnThreads, kRowThreads);
    const auto grid = [&](int v) {
      return dim3(blocks_for(width, static_cast<std::int64_t>(kColumnThreads) * v), static_cast<unsigned>(blocks));
    };
    if (rows_aligned(x, 16) && width % kWide == 0)
      column_sums_kernel<kWide, T><<<grid(kWide), shape, 0, stream>>>(matrix, rows, width, partial);
    else
      column_sums_kernel<1, T><<<grid(1), shape, 0, stream>>>(matrix, rows, width, partial);
  });
  check_launch("column_sums");
  add_column_sums(stream, partial, blocks, width, elements<float>(total));
}

}  // namespace ferula::cuda
