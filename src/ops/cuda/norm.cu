// The forward norms: a block, or one warp where rows are narrow, holds a row in registers, adds, takes mean and
// deviation, and writes.
#include "ops/cuda/norm.hpp"
#include "ops/cuda/norm_shape.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {
namespace {

template <class T>
struct ForwardRows {
  Rows<T> residual;
  Rows<const T> delta;  // null where nothing is added
  const T* weight;
  const T* bias;  // null for rms
  Rows<T> y;
  Rows<float> statistics;
  std::int64_t width;
  float eps;
  bool centred;  // layer norm
};

/// Column at which thread's chunk `index` begins; beyond the width where there is none.
template <int V>
__device__ __forceinline__ std::int64_t column_of(int index) {
  return (static_cast<std::int64_t>(index) * blockDim.x + threadIdx.x) * V;
}

/// Chunk `index` of a thread, zeros behind the width.
template <int V, class T>
__device__ __forceinline__ Raw<T, V> load_chunk(const T* from, std::int64_t width, int index) {
  return from != nullptr && column_of<V>(index) < width ? load_raw<V>(from + column_of<V>(index)) : Raw<T, V>{};
}

/// Loads the row, adds delta and writes the sum; keeps what memory then holds. Loads of `Together` chunks come before
/// their first store, behind which the compiler may not move them.
template <int Together, int V, int K, class T>
__device__ __forceinline__ void add_row(const ForwardRows<T>& views, std::int64_t row, Raw<T, V> (&x)[K]) {
  T* residual = views.residual.row(row);
  const T* delta = views.delta.data == nullptr ? nullptr : views.delta.row(row);
#pragma unroll
  for (int first = 0; first < K; first += Together) {
    Raw<T, V> added[Together];
#pragma unroll
    for (int each = 0; each < Together; ++each) {
      x[first + each] = load_chunk<V, T>(residual, views.width, first + each);
      added[each] = load_chunk<V, T>(delta, views.width, first + each);
    }
#pragma unroll
    for (int each = 0; each < Together; ++each) {
      const int k = first + each;
      if (delta == nullptr || column_of<V>(k) >= views.width) continue;
      float sum[V];
#pragma unroll
      for (int i = 0; i < V; ++i) sum[i] = x[k].at(i) + added[each].at(i);
      x[k] = to_raw<T>(sum);
      store_raw(x[k], residual + column_of<V>(k));
    }
  }
}

/// The sum over the threads of a row.
template <RowTeam Team>
__device__ __forceinline__ float row_sum(float value, float* shared) {
  if constexpr (Team == RowTeam::warp)
    return warp_sum(value);
  else
    return block_sum(value, shared);
}

/// Σ (x − mean)² of the thread's part of a row.
template <int V, int K, class T>
__device__ __forceinline__ float square_sum(Raw<T, V> (&x)[K], std::int64_t width, float mean) {
  float sum = 0.0f;
#pragma unroll
  for (int k = 0; k < K; ++k) {
    forget_origin(x[k]);  // else the compiler would keep the row twice
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const float deviation = column_of<V>(k) < width ? x[k].at(i) - mean : 0.0f;
      sum = fmaf(deviation, deviation, sum);
    }
  }
  return sum;
}

/// Warps' blocks on a multiprocessor: as many as leave each thread what its part of a row takes.
constexpr int warp_blocks(int chunks) { return chunks < 3 ? 6 : chunks == 3 ? 5 : 4; }

/// A thread holds its part of a row as memory does.
template <RowTeam Team, int V, int K, class T>
__global__ void __launch_bounds__(Team == RowTeam::warp ? kRowWarps * kWarp : 1024,
                                  Team == RowTeam::warp ? warp_blocks(K) : 1)
    residual_norm_kernel(ForwardRows<T> views, std::int64_t rows) {
  await_previous_kernel();
  __shared__ float sums[kWarp], squares[kWarp];
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (row >= rows) return;  // a whole warp, which meets no barrier
  const auto width = static_cast<float>(views.width);
  Raw<T, V> x[K];
  add_row<Team == RowTeam::warp ? K : 1, V, K>(views, row, x);

  float mean = 0.0f;
  if (views.centred) {
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int i = 0; i < V; ++i) sum += x[k].at(i);  // zeros behind the width
    mean = row_sum<Team>(sum, sums) / width;
  }
  const float square = row_sum<Team>(square_sum<V, K>(x, views.width, mean), squares);
  const float inverse = 1.0f / sqrtf(square / width + views.eps);

#pragma unroll
  for (int k = 0; k < K; ++k) {
    const std::int64_t column = column_of<V>(k);
    if (column >= views.width) continue;
    forget_origin(x[k]);
    float y[V], weight[V], bias[V] = {};
    load<V>(views.weight + column, weight);
    if (views.bias != nullptr) load<V>(views.bias + column, bias);
#pragma unroll
    for (int i = 0; i < V; ++i) y[i] = fmaf((x[k].at(i) - mean) * inverse, weight[i], bias[i]);
    store<V>(y, views.y.row(row) + column);
  }
  if (threadIdx.x == 0) {
    views.statistics.row(row)[0] = mean;
    views.statistics.row(row)[1] = inverse;
  }
}

}  // namespace

void residual_norm(cudaStream_t stream, const NormSpec& spec, TensorView residual, TensorView delta, TensorView weight,
                   TensorView bias, TensorView y, TensorView statistics) {
  check_compute_type(residual, weight, y);
  if (residual.count() == 0) return;
  const bool wide = norm_is_wide({residual, delta, y}, {weight, bias});
  with_type(residual.dtype, [&](auto type) {
    using T = decltype(type);
    const ForwardRows<T> views{.residual = {elements<T>(residual), residual.stride(0)},
                               .delta = {elements<const T>(delta), delta.empty() ? 0 : delta.stride(0)},
                               .weight = elements<const T>(weight),
                               .bias = elements<const T>(bias),
                               .y = {elements<T>(y), y.stride(0)},
                               .statistics = {elements<float>(statistics), statistics.stride(0)},
                               .width = residual.dim(1),
                               .eps = spec.eps,
                               .centred = spec.kind == NormKind::layer};
    const std::int64_t rows = residual.dim(0);
    const auto by_warps = [&](auto v, auto k) {
      launch_kernel({stream, blocks_for(rows, kRowWarps), dim3(kWarp, kRowWarps)}, "residual_norm",
                    residual_norm_kernel<RowTeam::warp, v.value, k.value, T>, views, rows);
    };
    const auto by_blocks = [&](auto v, auto k, unsigned threads) {
      launch_kernel({stream, blocks_for(rows, 1), threads}, "residual_norm",
                    residual_norm_kernel<RowTeam::block, v.value, k.value, T>, views, rows);
    };
    with_norm_shape<T>(wide, residual.dim(1), 1024, by_warps, by_blocks);
  });
}

}  // namespace ferula::cuda
