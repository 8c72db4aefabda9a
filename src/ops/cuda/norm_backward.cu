// The backward norms: a block, or each of its warps where rows are narrow, walks over rows, keeps its part of the
// gradients of weight and bias in registers, and writes them once; a second kernel adds the parts of all blocks.
#include "ops/cuda/column_sums.hpp"
#include "ops/cuda/norm.hpp"
#include "ops/cuda/norm_shape.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {
namespace {

constexpr int kMostThreads = 512;  // leaves each 128 registers
constexpr int kBlocksOfMultiprocessor = 2;
constexpr int kRowsTogether = 4;      // of one block, where rows are short
constexpr int kSharedColumns = 2048;  // that several rows of a block sum up

template <class T>
struct BackwardRows {
  Rows<const T> dy, x;
  const T* weight;
  Rows<const float> statistics;
  Rows<T> dx;
  float* dweight;  // [blocks, width], null where it is not wanted
  float* dbias;
  std::int64_t rows, width;
  bool centred, adds;
};

/// Sums of a row's threads, several rows of a block at once. `buffer` alternates, so that one barrier is enough.
struct RowSums {
  float values[2][16][kRowsTogether][2];  // [buffer, warp of the row, row, which]
};

/// Σ g and Σ g · x̂ of the thread's row.
__device__ __forceinline__ float2 row_sums(RowSums& shared, int buffer, float gradient, float normal) {
  const int warps = static_cast<int>(blockDim.x) / kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int y = static_cast<int>(threadIdx.y);
  gradient = warp_sum(gradient);
  normal = warp_sum(normal);
  if (threadIdx.x % kWarp == 0) {
    shared.values[buffer][warp][y][0] = gradient;
    shared.values[buffer][warp][y][1] = normal;
  }
  __syncthreads();
  float2 total = {0.0f, 0.0f};
  for (int each = 0; each < warps; ++each) {
    total.x += shared.values[buffer][each][y][0];
    total.y += shared.values[buffer][each][y][1];
  }
  return total;
}

/// Adds the registers of the rows of a block in their order, and writes one row of partial sums.
template <int V, int K>
__device__ __forceinline__ void write_partial(float (&part)[K][V], float* shared, float* partial, std::int64_t width) {
  if (partial == nullptr) return;
  const auto at = [](int k, int i) {
    return (k * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * V + i;
  };
  for (unsigned y = 1; y < blockDim.y; ++y) {  // rows together have at most kSharedColumns columns
    __syncthreads();
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int i = 0; i < V; ++i)
        if (threadIdx.y == y) shared[at(k, i)] = part[k][i];
    __syncthreads();
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int i = 0; i < V; ++i)
        if (threadIdx.y == 0) part[k][i] += shared[at(k, i)];
  }
  if (threadIdx.y != 0) return;
#pragma unroll
  for (int k = 0; k < K; ++k) {
    const std::int64_t column = (static_cast<std::int64_t>(k) * blockDim.x + threadIdx.x) * V;
    if (column >= width) continue;
    store<V>(part[k], partial + blockIdx.x * width + column);  // the width is a multiple of V
  }
}

/// Σ g and Σ g · x̂ of the thread's row.
template <RowTeam Team>
__device__ __forceinline__ float2 team_sums(RowSums& shared, int buffer, float gradient, float normal) {
  if constexpr (Team == RowTeam::warp)
    return {warp_sum(gradient), warp_sum(normal)};
  else
    return row_sums(shared, buffer, gradient, normal);
}

/// V elements' part in the gradients of weight and bias, and in the thread's sums of the row.
template <int V>
__device__ __forceinline__ void add_elements(const float (&gradient)[V], const float (&normal)[V],
                                             const float (&weighted)[V], float (&dweight)[V], float (&dbias)[V],
                                             float& gradient_sum, float& normal_sum) {
#pragma unroll
  for (int i = 0; i < V; ++i) {
    dweight[i] = fmaf(gradient[i], normal[i], dweight[i]);
    dbias[i] += gradient[i];
    gradient_sum += weighted[i];
    normal_sum = fmaf(weighted[i], normal[i], normal_sum);
  }
}

/// Writes V elements of dx, added to `before`.
template <int V, class T>
__device__ __forceinline__ void store_gradient(const float (&normal)[V], const float (&weighted)[V],
                                               float mean_gradient, float mean_normal, float inverse,
                                               const Raw<T, V>& before, T* dx) {
  float result[V];
#pragma unroll
  for (int i = 0; i < V; ++i)
    result[i] = fmaf(weighted[i] - mean_gradient - normal[i] * mean_normal, inverse, before.at(i));
  store<V>(result, dx);
}

/// dx = (g − mean(g) − x̂ · mean(g · x̂)) / σ with g = dy · weight; for rms without mean(g).
template <RowTeam Team, int V, int K, class T>
__global__ void __launch_bounds__(Team == RowTeam::warp ? kRowWarps * kWarp : kMostThreads,
                                  K < (Team == RowTeam::warp ? 4 : 2) ? kBlocksOfMultiprocessor : 1)
    norm_backward_kernel(BackwardRows<T> views) {
  await_previous_kernel();
  __shared__ RowSums sums;
  __shared__ float columns[kSharedColumns];
  constexpr bool kEarly = Team == RowTeam::warp || K == 1;  // there are registers for all that is read of a row
  float dweight[K][V] = {}, dbias[K][V] = {};
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.y;
  const auto width = static_cast<float>(views.width);
  const auto column_of = [](int k) { return (static_cast<std::int64_t>(k) * blockDim.x + threadIdx.x) * V; };
  int buffer = 0;
  for (std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * blockDim.y; first < views.rows; first += step) {
    const std::int64_t row = first + threadIdx.y;
    const bool inside = row < views.rows;
    const auto load_row = [&](const T* from, int k) {
      return inside && column_of(k) < views.width ? load_raw<V>(from + column_of(k)) : Raw<T, V>{};
    };
    Raw<T, V> dy[K], x[K], dx[K];
#pragma unroll
    for (int k = 0; k < K; ++k) {
      dy[k] = load_row(views.dy.row(row), k);
      x[k] = load_row(views.x.row(row), k);
      if constexpr (kEarly) dx[k] = views.adds ? load_row(views.dx.row(row), k) : Raw<T, V>{};
    }
    const float mean = inside ? views.statistics.row(row)[0] : 0.0f;
    const float inverse = inside ? views.statistics.row(row)[1] : 0.0f;
    const auto elements_of = [&](int k, float(&gradient)[V], float(&normal)[V], float(&weighted)[V]) {
      to_floats(dy[k], gradient);
      to_floats(x[k], normal);
      to_floats(load_row(views.weight, k), weighted);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        normal[i] = (normal[i] - mean) * inverse;
        weighted[i] *= gradient[i];
      }
    };
    float gradient_sum = 0.0f, normal_sum = 0.0f;
#pragma unroll
    for (int k = 0; k < K; ++k) {
      float gradient[V], normal[V], weighted[V];
      elements_of(k, gradient, normal, weighted);
      add_elements(gradient, normal, weighted, dweight[k], dbias[k], gradient_sum, normal_sum);
    }
    const float2 total = team_sums<Team>(sums, buffer, gradient_sum, normal_sum);
    buffer ^= 1;
    const float mean_gradient = views.centred ? total.x / width : 0.0f, mean_normal = total.y / width;
#pragma unroll
    for (int k = 0; k < K; ++k) {
      if constexpr (!kEarly) dx[k] = views.adds ? load_row(views.dx.row(row), k) : Raw<T, V>{};
      if (!inside || column_of(k) >= views.width) continue;
      forget_origin(dy[k]);  // else the compiler would keep what it can compute again, and run out of registers
      forget_origin(x[k]);
      float gradient[V], normal[V], weighted[V];
      elements_of(k, gradient, normal, weighted);
      store_gradient(normal, weighted, mean_gradient, mean_normal, inverse, dx[k], views.dx.row(row) + column_of(k));
    }
  }
  write_partial<V, K>(dweight, columns, views.dweight, views.width);
  write_partial<V, K>(dbias, columns, views.dbias, views.width);
}

/// Blocks that walk over the rows, at most: those that run at once.
std::int64_t walking_blocks(int multiprocessors, std::int64_t rows) {
  return std::min<std::int64_t>(rows, kBlocksOfMultiprocessor * static_cast<std::int64_t>(multiprocessors));
}

}  // namespace

std::int64_t norm_backward_scratch(int multiprocessors, std::int64_t rows, std::int64_t width) {
  return 2 * scratch_bytes(walking_blocks(multiprocessors, rows) * width, sizeof(float));
}

void norm_backward(Workspace& workspace, int multiprocessors, cudaStream_t stream, const NormSpec& spec, TensorView dy,
                   TensorView x, TensorView weight, TensorView statistics, TensorView dx, Accumulate accumulate,
                   TensorView dweight, TensorView dbias) {
  check_compute_type(dy, x, weight, dx);
  const std::int64_t rows = x.dim(0), width = x.dim(1);
  if (rows == 0) return;
  const std::int64_t blocks = walking_blocks(multiprocessors, rows);
  Workspace::Lease scratch = workspace.lease(stream, norm_backward_scratch(multiprocessors, rows, width));
  float* dweight_parts = dweight.empty() ? nullptr : scratch.take<float>(blocks * width);
  float* dbias_parts = dbias.empty() ? nullptr : scratch.take<float>(blocks * width);
  with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    const BackwardRows<T> views{.dy = {elements<const T>(dy), dy.stride(0)},
                                .x = {elements<const T>(x), x.stride(0)},
                                .weight = elements<const T>(weight),
                                .statistics = {elements<const float>(statistics), statistics.stride(0)},
                                .dx = {elements<T>(dx), dx.stride(0)},
                                .dweight = dweight_parts,
                                .dbias = dbias_parts,
                                .rows = rows,
                                .width = width,
                                .centred = spec.kind == NormKind::layer,
                                .adds = accumulate == Accumulate::add};
    const auto by_warps = [&](auto v, auto k) {
      launch_kernel({stream, static_cast<unsigned>(blocks), dim3(kWarp, kRowWarps)}, "norm_backward",
                    norm_backward_kernel<RowTeam::warp, v.value, k.value, T>, views);
    };
    const auto by_blocks = [&](auto v, auto k, unsigned threads) {
      const bool fits = k.value == 1 && static_cast<int>(threads) * v.value <= kSharedColumns;
      const dim3 shape(threads, fits ? std::min(kRowsTogether, kMostThreads / static_cast<int>(threads)) : 1);
      launch_kernel({stream, static_cast<unsigned>(blocks), shape}, "norm_backward",
                    norm_backward_kernel<RowTeam::block, v.value, k.value, T>, views);
    };
    with_norm_shape<T>(norm_is_wide({dy, x, dx}, {weight}), width, kMostThreads, by_warps, by_blocks);
  });
  add_column_sums(stream, {dweight_parts, dweight_parts == nullptr ? nullptr : elements<float>(dweight)},
                  {dbias_parts, dbias_parts == nullptr ? nullptr : elements<float>(dbias)}, blocks, width);
}

}  // namespace ferula::cuda
