#include "ops/cuda/attention_rows.hpp"

#include "ops/cuda/launch.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kStarts = 1024;  // held at once; they may lie in host memory, so a block reads them together

__global__ void __launch_bounds__(kThreads)
    find_sequences_kernel(const std::int32_t* starts, std::int64_t count, std::int64_t rows, std::int32_t* begin,
                          std::int32_t* end) {
  await_previous_kernel();
  __shared__ std::int32_t held[kStarts];
  const auto row = static_cast<std::int32_t>(blockIdx.x * kThreads + threadIdx.x);
  std::int32_t before = -1, after = 0x7fffffff;
  for (std::int64_t first = 0; first < count; first += kStarts) {
    const int here = static_cast<int>(min(static_cast<std::int64_t>(kStarts), count - first));
    for (int at = static_cast<int>(threadIdx.x); at < here; at += kThreads) held[at] = starts[first + at];
    __syncthreads();
    for (int at = 0; at < here; ++at) {
      if (held[at] <= row)
        before = max(before, held[at]);
      else
        after = min(after, held[at]);
    }
    __syncthreads();
  }
  if (row >= rows) return;
  const bool inside = before >= 0 && after != 0x7fffffff;
  begin[row] = inside ? before : row;
  end[row] = inside ? min(after, static_cast<std::int32_t>(rows)) : row + 1;
}

/// kLanes threads share a row of a head; neighbours are rows of one head, so that their results lie together.
template <int V, int kLanes, class T>
__global__ void __launch_bounds__(kThreads)
    dot_rows_kernel(std::int64_t rows, int heads, int head_dim, Heads<const T> out, Heads<const T> dout, float* delta) {
  await_previous_kernel();
  const std::int64_t item = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const bool inside = item < rows * heads;
  const std::int64_t head = inside ? item / rows : 0, row = inside ? item - head * rows : 0;
  const T* a = out.at(row, head);
  const T* b = dout.at(row, head);
  float sum = 0.0f;
  for (int column = lane * V; column < head_dim; column += kLanes * V) {
    float x[V], y[V];
    load<V>(a + column, x);
    load<V>(b + column, y);
#pragma unroll
    for (int i = 0; i < V; ++i) sum = fmaf(x[i], y[i], sum);
  }
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(kAllLanes, sum, step);
  if (inside && lane == 0) delta[item] = sum;
}

/// A block copies a piece of one head of one sequence.
__global__ void __launch_bounds__(kThreads)
    pack_logsumexp_kernel(const float* logsumexp, std::int64_t stride, int heads, std::int64_t length, float* packed) {
  await_previous_kernel();
  const std::int64_t place = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t head = blockIdx.y, sequence = blockIdx.z;
  if (place >= length) return;
  packed[(sequence * heads + head) * length + place] = logsumexp[head * stride + sequence * length + place];
}

}  // namespace

void find_sequences(cudaStream_t stream, const std::int32_t* starts, std::int64_t count, std::int64_t rows,
                    std::int32_t* begin, std::int32_t* end) {
  launch_kernel({stream, blocks_for(rows, kThreads), kThreads}, "find_sequences", find_sequences_kernel, starts, count,
                rows, begin, end);
}

template <class T>
void dot_rows(cudaStream_t stream, const AttentionShape& shape, const Heads<const T>& out, const Heads<const T>& dout,
              bool wide, float* delta) {
  constexpr int kWide = 16 / static_cast<int>(sizeof(T));
  constexpr int kLanes = 64 / kWide;  // one step for 64 elements
  const std::int64_t items = shape.rows * shape.heads;
  if (wide)
    launch_kernel({stream, blocks_for(items * kLanes, kThreads), kThreads}, "dot_rows",
                  dot_rows_kernel<kWide, kLanes, T>, shape.rows, shape.heads, shape.head_dim, out, dout, delta);
  else
    launch_kernel({stream, blocks_for(items * kWarp, kThreads), kThreads}, "dot_rows", dot_rows_kernel<1, kWarp, T>,
                  shape.rows, shape.heads, shape.head_dim, out, dout, delta);
}

void pack_logsumexp(cudaStream_t stream, const float* logsumexp, std::int64_t stride, std::int64_t sequences, int heads,
                    std::int64_t length, float* packed) {
  const dim3 grid(blocks_for(length, kThreads), static_cast<unsigned>(heads), narrow<unsigned>(sequences));
  launch_kernel({stream, grid, kThreads}, "pack_logsumexp", pack_logsumexp_kernel, logsumexp, stride, heads, length,
                packed);
}

template void dot_rows<float>(cudaStream_t, const AttentionShape&, const Heads<const float>&, const Heads<const float>&,
                              bool, float*);
template void dot_rows<bfloat>(cudaStream_t, const AttentionShape&, const Heads<const bfloat>&,
                               const Heads<const bfloat>&, bool, float*);

}  // namespace ferula::cuda
