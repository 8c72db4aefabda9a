// The forward norms: a block holds a row in registers, adds, takes mean and deviation, and writes.
#include "ops/cuda/norm.hpp"
#include "ops/cuda/norm_shape.hpp"
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

/// Loads the row, adds delta and writes the sum; keeps what memory then holds.
template <int V, int K, class T>
__device__ __forceinline__ void add_row(const ForwardRows<T>& views, std::int64_t row, float (&x)[K][V]) {
#pragma unroll
  for (int k = 0; k < K; ++k) {
    const std::int64_t column = column_of<V>(k);
#pragma unroll
    for (int i = 0; i < V; ++i) x[k][i] = 0.0f;
    if (column >= views.width) continue;
    load<V>(views.residual.row(row) + column, x[k]);
    if (views.delta.data == nullptr) continue;
    float delta[V];
    load<V>(views.delta.row(row) + column, delta);
#pragma unroll
    for (int i = 0; i < V; ++i) x[k][i] = rounded<T>(x[k][i] + delta[i]);
    store<V>(x[k], views.residual.row(row) + column);
  }
}

template <int V, int K, class T>
__global__ void __launch_bounds__(1024) residual_norm_kernel(ForwardRows<T> views) {
  __shared__ float sums[kWarp], squares[kWarp];
  const std::int64_t row = blockIdx.x;
  const auto width = static_cast<float>(views.width);
  float x[K][V];
  add_row<V, K>(views, row, x);

  float mean = 0.0f;
  if (views.centred) {
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int i = 0; i < V; ++i) sum += x[k][i];  // zeros behind the width
    mean = block_sum(sum, sums) / width;
  }
  float square = 0.0f;
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const float deviation = column_of<V>(k) < views.width ? x[k][i] - mean : 0.0f;
      square = fmaf(deviation, deviation, square);
    }
  const float inverse = 1.0f / sqrtf(block_sum(square, squares) / width + views.eps);

#pragma unroll
  for (int k = 0; k < K; ++k) {
    const std::int64_t column = column_of<V>(k);
    if (column >= views.width) continue;
    float weight[V], bias[V] = {};
    load<V>(views.weight + column, weight);
    if (views.bias != nullptr) load<V>(views.bias + column, bias);
#pragma unroll
    for (int i = 0; i < V; ++i) x[k][i] = fmaf((x[k][i] - mean) * inverse, weight[i], bias[i]);
    store<V>(x[k], views.y.row(row) + column);
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
    with_norm_shape<T>(wide, residual.dim(1), 1024, [&](auto v, auto k, unsigned threads) {
      residual_norm_kernel<v.value, k.value, T><<<blocks_for(residual.dim(0), 1), threads, 0, stream>>>(views);
    });
  });
  check_launch("residual_norm");
}

}  // namespace ferula::cuda
