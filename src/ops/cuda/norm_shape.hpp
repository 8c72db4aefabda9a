// How many threads take a row of a norm, and how much of it each of them holds in registers.
#pragma once

#include <initializer_list>

#include "ops/cuda/launch.hpp"

namespace ferula::cuda {

/// Whether all rows and all vectors (those that are given) can be read 16 bytes at a time.
inline bool norm_is_wide(std::initializer_list<TensorView> matrices, std::initializer_list<TensorView> vectors) {
  const auto good_matrix = [](const TensorView& view) {
    return view.empty() || (rows_aligned(view, 16) && view.dim(1) * bytes_of(view.dtype) % 16 == 0);
  };
  const auto good_vector = [](const TensorView& view) {
    return view.empty() || reinterpret_cast<std::uintptr_t>(view.data) % 16 == 0;
  };
  return std::all_of(matrices.begin(), matrices.end(), good_matrix) &&
         std::all_of(vectors.begin(), vectors.end(), good_vector);
}

/// The threads that share a row. A warp needs no barrier, and its block works on kRowWarps rows.
enum class RowTeam : std::uint8_t { warp, block };

constexpr int kRowWarps = 8;

/// A thread holds K chunks of V elements, and threads · K · V covers the width. Calls by_warps(V, K) where a row is
/// narrow enough for 32 threads and `wide`, else by_blocks(V, K, threads).
template <class T, class ByWarps, class ByBlocks>
void with_norm_shape(bool wide, std::int64_t width, std::int64_t most_threads, ByWarps by_warps, ByBlocks launch) {
  constexpr int kWide = 16 / static_cast<int>(sizeof(T));
  const auto is_narrow = [&](auto k) {
    if (!wide || width > 32 * k.value * kWide) return false;
    by_warps(std::integral_constant<int, kWide>{}, k);
    return true;
  };
  if (is_narrow(std::integral_constant<int, 1>{}) || is_narrow(std::integral_constant<int, 2>{}) ||
      is_narrow(std::integral_constant<int, 3>{}) || is_narrow(std::integral_constant<int, 4>{}))
    return;
  const auto choose = [&](auto v, auto few, auto many) {
    const std::int64_t chunks = ceil_div(width, v.value);
    const bool fits = chunks <= 512;  // a chunk a thread: then it holds its part in few registers
    const std::int64_t threads = ceil_div(ceil_div(chunks, fits ? few.value : many.value), 32) * 32;
    FERULA_CHECK(threads <= most_threads, "a norm over {} columns; at most {}", width,
                 most_threads * many.value * v.value);
    fits ? launch(v, few, static_cast<unsigned>(threads)) : launch(v, many, static_cast<unsigned>(threads));
  };
  if (wide)
    choose(std::integral_constant<int, kWide>{}, std::integral_constant<int, 1>{}, std::integral_constant<int, 4>{});
  else
    choose(std::integral_constant<int, 1>{}, std::integral_constant<int, 1>{}, std::integral_constant<int, 16>{});
}

}  // namespace ferula::cuda
