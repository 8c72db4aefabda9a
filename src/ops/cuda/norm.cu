// The forward norms: a block, or one warp where rows are narrow, holds a row in registers, adds, takes mean and
// deviation, and writes. Narrow rows are bound by the instructions that a warp issues as much as by memory: elements
// are unpacked once, and places are known to the compiler.
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
  std::int64_t rows;
  int width;
  float inverse_width, eps;
  bool centred;  // layer norm
};

/// The columns of a thread: its chunk k begins at at(k). Whole: none lies behind the width.
template <RowTeam Team, int V, bool Whole>
struct Columns {
  int width;

  __device__ __forceinline__ int at(int k) const {
    const int threads = Team == RowTeam::warp ? kWarp : static_cast<int>(blockDim.x);
    return (k * threads + static_cast<int>(threadIdx.x)) * V;
  }
  __device__ __forceinline__ bool inside(int k) const { return Whole || at(k) < width; }
};

/// The thread's part of a row, zeros behind the width or where there is no row.
template <RowTeam Team, int V, bool Whole, int K, class T>
__device__ __forceinline__ void load_row(const T* row, const Columns<Team, V, Whole>& columns, Raw<T, V> (&to)[K]) {
#pragma unroll
  for (int k = 0; k < K; ++k)
    to[k] = row != nullptr && columns.inside(k) ? load_raw<V>(row + columns.at(k)) : Raw<T, V>{};
}

/// x = the row, or its sum with `added`, which is then stored, as memory holds it.
template <RowTeam Team, int V, bool Whole, int K, class T>
__device__ __forceinline__ void add_row(const ForwardRows<T>& views, std::int64_t row,
                                        const Columns<Team, V, Whole>& columns, const Raw<T, V> (&residual)[K],
                                        const Raw<T, V> (&added)[K], float (&x)[K][V]) {
#pragma unroll
  for (int k = 0; k < K; ++k) {
    to_floats(residual[k], x[k]);
    if (views.delta.data == nullptr || !columns.inside(k)) continue;
#pragma unroll
    for (int i = 0; i < V; ++i) x[k][i] += added[k].at(i);
    const Raw<T, V> sum = to_raw<T>(x[k]);
    to_floats(sum, x[k]);
    store_raw(sum, views.residual.row(row) + columns.at(k));
  }
}

/// What the threads of a block share.
struct RowSums {
  float values[kWarp], squares[kWarp];
};

/// The sum over the threads of a row, by way of `place` where they are a block; a warp shares nothing, and has null.
template <RowTeam Team>
__device__ __forceinline__ float row_sum(float value, RowSums* shared, float (RowSums::*place)[kWarp]) {
  if constexpr (Team == RowTeam::warp)
    return warp_sum(value);
  else
    return block_sum(value, shared->*place);
}

/// x becomes x − mean; returns mean and 1 / deviation.
template <RowTeam Team, int V, bool Whole, int K, class T>
__device__ __forceinline__ float2 centre(const ForwardRows<T>& views, const Columns<Team, V, Whole>& columns,
                                         float (&x)[K][V], RowSums* shared) {
  float mean = 0.0f;
  if (views.centred) {
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int i = 0; i < V; ++i) sum += x[k][i];  // zeros behind the width
    mean = row_sum<Team>(sum, shared, &RowSums::values) * views.inverse_width;
  }
  float square = 0.0f;
#pragma unroll
  for (int k = 0; k < K; ++k) {
    if (!columns.inside(k)) continue;
#pragma unroll
    for (int i = 0; i < V; ++i) {
      x[k][i] -= mean;
      square = fmaf(x[k][i], x[k][i], square);
    }
  }
  square = row_sum<Team>(square, shared, &RowSums::squares);
  return {mean, rsqrtf(fmaf(square, views.inverse_width, views.eps))};
}

/// Writes what the norm makes of a row.
template <RowTeam Team, int V, bool Whole, int K, class T>
__device__ __forceinline__ void write_norm(const ForwardRows<T>& views, std::int64_t row,
                                           const Columns<Team, V, Whole>& columns, float (&x)[K][V], RowSums* shared) {
  const float2 found = centre(views, columns, x, shared);
#pragma unroll
  for (int k = 0; k < K; ++k) {
    if (!columns.inside(k)) continue;
    float y[V], weight[V], bias[V] = {};
    load<V>(views.weight + columns.at(k), weight);
    if (views.bias != nullptr) load<V>(views.bias + columns.at(k), bias);
#pragma unroll
    for (int i = 0; i < V; ++i) y[i] = fmaf(x[k][i] * found.y, weight[i], bias[i]);
    store<V>(y, views.y.row(row) + columns.at(k));
  }
  if (threadIdx.x == 0) {
    views.statistics.row(row)[0] = found.x;
    views.statistics.row(row)[1] = found.y;
  }
}

template <int V, int K, class T>
__global__ void __launch_bounds__(1024) block_norm_kernel(ForwardRows<T> views) {
  await_previous_kernel();
  __shared__ RowSums sums;
  const Columns<RowTeam::block, V, false> columns{views.width};
  const std::int64_t row = blockIdx.x;
  Raw<T, V> residual[K], added[K];
  float x[K][V];
  load_row(views.residual.row(row), columns, residual);
  load_row(views.delta.data == nullptr ? nullptr : views.delta.row(row), columns, added);
  add_row(views, row, columns, residual, added, x);
  write_norm(views, row, columns, x, &sums);
}

/// Their blocks on a multiprocessor: as many as leave each thread the registers for its part of two rows.
constexpr int walking_blocks(int elements) { return elements <= 24 ? 3 : 2; }

/// Warps walk over the rows, and ask for the next before they work on this one.
template <int V, int K, bool Whole, class T>
__global__ void __launch_bounds__(kRowWarps* kWarp, walking_blocks(V* K)) warp_norm_kernel(ForwardRows<T> views) {
  await_previous_kernel();
  const Columns<RowTeam::warp, V, Whole> columns{views.width};
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.y;
  std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  Raw<T, V> residual[K], added[K];
  const auto fetch = [&](std::int64_t next) {
    if (next >= views.rows) return;
    load_row(views.residual.row(next), columns, residual);
    if (views.delta.data != nullptr) load_row(views.delta.row(next), columns, added);
  };
  for (fetch(row); row < views.rows; row += step) {
    float x[K][V];
    add_row(views, row, columns, residual, added, x);
    fetch(row + step);
    write_norm(views, row, columns, x, static_cast<RowSums*>(nullptr));
  }
}

}  // namespace

void residual_norm(int multiprocessors, cudaStream_t stream, const NormSpec& spec, TensorView residual,
                   TensorView delta, TensorView weight, TensorView bias, TensorView y, TensorView statistics) {
  check_compute_type(residual, weight, y);
  if (residual.count() == 0) return;
  const bool wide = norm_is_wide({residual, delta, y}, {weight, bias});
  with_type(residual.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t rows = residual.dim(0);
    const int width = narrow<int>(residual.dim(1));
    const ForwardRows<T> views{.residual = {elements<T>(residual), residual.stride(0)},
                               .delta = {elements<const T>(delta), delta.empty() ? 0 : delta.stride(0)},
                               .weight = elements<const T>(weight),
                               .bias = elements<const T>(bias),
                               .y = {elements<T>(y), y.stride(0)},
                               .statistics = {elements<float>(statistics), statistics.stride(0)},
                               .rows = rows,
                               .width = width,
                               .inverse_width = 1.0f / static_cast<float>(width),
                               .eps = spec.eps,
                               .centred = spec.kind == NormKind::layer};
    const auto by_warps = [&](auto v, auto k) {
      const unsigned blocks = std::min(blocks_for(rows, kRowWarps),
                                       static_cast<unsigned>(walking_blocks(v.value * k.value) * multiprocessors));
      const auto kernel = width == kWarp * v.value * k.value ? warp_norm_kernel<v.value, k.value, true, T>
                                                             : warp_norm_kernel<v.value, k.value, false, T>;
      launch_kernel({stream, blocks, dim3(kWarp, kRowWarps)}, "residual_norm", kernel, views);
    };
    const auto by_blocks = [&](auto v, auto k, unsigned threads) {
      launch_kernel({stream, blocks_for(rows, 1), threads}, "residual_norm", block_norm_kernel<v.value, k.value, T>,
                    views);
    };
    with_norm_shape<T>(wide, width, 1024, by_warps, by_blocks);
  });
}

}  // namespace ferula::cuda
