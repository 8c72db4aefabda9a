// y = f(a, b, …) element by element, each thread 16 bytes or more at a time.
#pragma once

#include "ops/cuda/launch.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {

inline constexpr int kPointwiseThreads = 256;

/// The widest of the types decides: bf16 wants eight elements for 16 bytes, f32 four.
template <class... T>
inline constexpr int kPackElements = 16 / static_cast<int>(std::min({sizeof(T)...}));

/// What one thread works on: columns [column, column + count) of a row.
struct Piece {
  std::int64_t row, column, count;
};

/// Piece number `index` of `rows` rows that are cut into pieces of V; count is 0 behind the last.
template <int V>
__device__ __forceinline__ Piece piece_at(std::int64_t index, std::int64_t rows, std::int64_t width) {
  const std::int64_t per_row = (width + V - 1) / V;
  const std::int64_t row = rows == 1 ? 0 : index / per_row;  // a division costs as much as the rest
  const std::int64_t column = (index - row * per_row) * V;
  const bool inside = row < rows && column < width;
  return {row, column, inside ? min(static_cast<std::int64_t>(V), width - column) : 0};
}

template <int V, class F, class Out, class... In>
__global__ void __launch_bounds__(kPointwiseThreads)
    pointwise_kernel(F f, std::int64_t rows, std::int64_t width, Rows<Out> out, Rows<const In>... in) {
  await_previous_kernel();
  const Piece piece = piece_at<V>(static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, rows, width);
  if (piece.count == 0) return;
  float result[V];
  const auto apply = [&](auto&... values) {
#pragma unroll
    for (int i = 0; i < V; ++i) result[i] = f(values[i]...);
  };
  const auto loaded = [&](auto rows_in) {
    Pack<float, V> values;
    load_some<V>(rows_in.row(piece.row) + piece.column, piece.count, 0.0f, values.values);
    return values;
  };
  const auto unpack = [&](auto... packs) { apply(packs.values...); };
  unpack(loaded(in)...);
  store_some<V>(result, piece.count, out.row(piece.row) + piece.column);
}

/// A matrix and the type in which its kernel sees it.
template <class T>
struct Typed {
  TensorView view;
  Rows<T> rows() const { return {elements<T>(view), view.stride(0)}; }
};

/// out = f(in…); all are matrices of one shape. A thread reads all of its inputs before it writes: out may be one of
/// them.
template <class F, class Out, class... In>
void pointwise(cudaStream_t stream, const char* name, F f, Typed<Out> out, Typed<const In>... in) {
  constexpr int kWide = kPackElements<Out, In...>;
  const std::int64_t rows = out.view.dim(0), width = out.view.dim(1);
  if (rows == 0 || width == 0) return;
  const bool wide =
      rows_aligned(out.view, pack_bytes(out.view, kWide)) && (rows_aligned(in.view, pack_bytes(in.view, kWide)) && ...);
  const auto launch = [&](auto elements_per_thread) {
    constexpr int kV = decltype(elements_per_thread)::value;
    const unsigned blocks = blocks_for(rows * ceil_div(width, kV), kPointwiseThreads);
    launch_kernel({stream, blocks, kPointwiseThreads}, name, pointwise_kernel<kV, F, Out, In...>, f, rows, width,
                  out.rows(), in.rows()...);
  };
  wide ? launch(std::integral_constant<int, kWide>{}) : launch(std::integral_constant<int, 1>{});
}

}  // namespace ferula::cuda
