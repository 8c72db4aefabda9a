// Column sums in two steps: blocks of rows, then the blocks.
#include "ops/cuda/column_sums.hpp"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {
namespace {

constexpr int kColumnThreads = 32;
constexpr int kRowThreads = 8;  // of a block of the first step
constexpr int kRowsAtOnce = 8;
constexpr int kBlocksOfMultiprocessor = 4;
constexpr int kPartialThreads = 32;  // rows that a block of the second step reads at once

/// A block of 32 columns; each thread sums every 32nd row, then the first of a column adds the others in order.
__global__ void __launch_bounds__(kColumnThreads* kPartialThreads)
    add_column_sums_kernel(PartialSums first, PartialSums second, std::int64_t rows, std::int64_t width) {
  await_previous_kernel();
  __shared__ float sums[kPartialThreads][kColumnThreads + 1];
  const PartialSums each = blockIdx.y == 0 ? first : second;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kColumnThreads + threadIdx.x;
  float sum = 0.0f;
  if (column < width) {
#pragma unroll 8
    for (std::int64_t row = threadIdx.y; row < rows; row += kPartialThreads) sum += each.partial[row * width + column];
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  for (int other = 1; other < kPartialThreads; ++other) sum += sums[other][threadIdx.x];
  each.total[column] += sum;
}

/// partial[blockIdx.y, column] = Σ x[row, column] over the rows of the block: every gridDim.y · kRowThreads-th. A
/// thread asks for kRowsAtOnce rows before it adds them.
template <int V, class T>
__global__ void __launch_bounds__(kColumnThreads* kRowThreads, kBlocksOfMultiprocessor)
    column_sums_kernel(Rows<const T> x, std::int64_t rows, std::int64_t width, float* partial) {
  await_previous_kernel();
  __shared__ float sums[kRowThreads][kColumnThreads * V];
  const std::int64_t column = (static_cast<std::int64_t>(blockIdx.x) * kColumnThreads + threadIdx.x) * V;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.y) * kRowThreads;
  float sum[V] = {};
  if (column < width) {
    for (std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * kRowThreads + threadIdx.y; row < rows;
         row += kRowsAtOnce * step) {
      Raw<T, V> packs[kRowsAtOnce];
#pragma unroll
      for (int each = 0; each < kRowsAtOnce; ++each)
        packs[each] = row + each * step < rows ? load_raw<V>(x.row(row + each * step) + column) : Raw<T, V>{};
#pragma unroll
      for (int each = 0; each < kRowsAtOnce; ++each)
#pragma unroll
        for (int i = 0; i < V; ++i) sum[i] += packs[each].at(i);
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

/// Blocks of rows: as many as run at once and no more, of at least four rows a thread.
std::int64_t row_blocks(int multiprocessors, std::int64_t rows, std::int64_t width) {
  const std::int64_t across = ceil_div(width, kColumnThreads * 8);
  const std::int64_t at_once = kBlocksOfMultiprocessor * static_cast<std::int64_t>(multiprocessors) / across;
  return std::clamp<std::int64_t>(at_once, 1, ceil_div(rows, 4 * kRowThreads));
}

}  // namespace

void add_column_sums(cudaStream_t stream, PartialSums first, PartialSums second, std::int64_t rows,
                     std::int64_t width) {
  if (first.total == nullptr) std::swap(first, second);
  if (first.total == nullptr) return;
  const dim3 grid(blocks_for(width, kColumnThreads), second.total == nullptr ? 1 : 2);
  launch_kernel({stream, grid, dim3(kColumnThreads, kPartialThreads)}, "add_column_sums", add_column_sums_kernel, first,
                second, rows, width);
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
      launch_kernel({stream, grid(kWide), shape}, "column_sums", column_sums_kernel<kWide, T>, matrix, rows, width,
                    partial);
    else
      launch_kernel({stream, grid(1), shape}, "column_sums", column_sums_kernel<1, T>, matrix, rows, width, partial);
  });
  add_column_sums(stream, {partial, elements<float>(total)}, {}, blocks, width);
}

}  // namespace ferula::cuda
