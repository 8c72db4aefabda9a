// The sum of squares in f64.
#include "ops/cuda/elementwise.hpp"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/workspace.hpp"

namespace ferula::cuda {
namespace {

constexpr int kThreads = 512;
constexpr std::int64_t kMostBlocks = 1024;

/// partial[block] = Σ x² of the elements that the block's threads meet in steps of the whole grid.
__global__ void __launch_bounds__(kThreads)
    sum_of_squares_kernel(const float* x, std::int64_t count, bool wide, double* partial) {
  await_previous_kernel();
  __shared__ double shared[kWarp];
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  double sum = 0.0;
  const std::int64_t fours = wide ? count / 4 : 0;
#pragma unroll 4
  for (std::int64_t at = first; at < fours; at += step) {
    const float4 four = reinterpret_cast<const float4*>(x)[at];
    const double a = four.x, b = four.y, c = four.z, d = four.w;
    sum += (a * a + b * b) + (c * c + d * d);
  }
  for (std::int64_t at = 4 * fours + first; at < count; at += step) {
    const double value = x[at];
    sum += value * value;
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) add_partial_kernel(const double* partial, int count, double* total) {
  await_previous_kernel();
  __shared__ double shared[kWarp];
  double sum = 0.0;
  for (int at = static_cast<int>(threadIdx.x); at < count; at += kThreads) sum += partial[at];
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) *total += sum;
}

}  // namespace

void sum_of_squares(Workspace& workspace, cudaStream_t stream, TensorView x, TensorView total) {
  FERULA_CHECK(x.contiguous() && total.count() == 1, "a contiguous range and one sum expected");
  const std::int64_t count = x.count();
  if (count == 0) return;
  const std::int64_t blocks = std::min(kMostBlocks, ceil_div(count, 4 * kThreads));
  Workspace::Lease scratch = workspace.lease(stream, blocks * static_cast<std::int64_t>(sizeof(double)));
  double* partial = scratch.take<double>(blocks);
  const bool wide = reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0;
  launch_kernel({stream, static_cast<unsigned>(blocks), kThreads}, "sum_of_squares", sum_of_squares_kernel,
                elements<const float>(x), count, wide, partial);
  launch_kernel({stream, 1, kThreads}, "add_partial", add_partial_kernel, partial, static_cast<int>(blocks),
                elements<double>(total));
}

}  // namespace ferula::cuda
