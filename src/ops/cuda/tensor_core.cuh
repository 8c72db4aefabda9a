// Tiles of bf16 in shared memory and their products on tensor cores, with f32 sums.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "ops/cuda/attention_arguments.hpp"
#include "ops/cuda/instructions.cuh"
#include "ops/cuda/reduce.cuh"

namespace ferula::cuda {

/// Where lane `lane` finds its elements: of sums [16, 8] rows `row` and row + 8, columns `column` and column + 1.
struct Lane {
  int lane = static_cast<int>(threadIdx.x) % kWarp;
  int warp = static_cast<int>(threadIdx.x) / kWarp;
  int row = lane / 4, column = lane % 4 * 2;
};

/// Rows lie D + 8 elements apart: eight rows at one column then meet all 32 banks, each once.
template <int D>
inline constexpr int kTileStride = D + 8;

template <int D>
constexpr std::size_t tile_bytes(int rows) {
  return sizeof(__nv_bfloat16) * static_cast<std::size_t>(rows) * kTileStride<D>;
}

/// Starts to copy rows [first, first + kRows) of one head into a tile; zeros where there is no row or column.
template <int D, int kRows, int kThreads>
__device__ __forceinline__ void load_tile(const Heads<const __nv_bfloat16>& from, int head, std::int64_t first,
                                          std::int64_t rows, int head_dim, std::uint32_t tile) {
  constexpr int kChunks = D / 8;
#pragma unroll
  for (int begin = 0; begin < kRows * kChunks; begin += kThreads) {
    const int at = begin + static_cast<int>(threadIdx.x);
    if (kRows * kChunks % kThreads != 0 && at >= kRows * kChunks) break;
    const int row = at / kChunks, column = at % kChunks * 8;
    const bool inside = first + row < rows && column < head_dim;
    const __nv_bfloat16* source = inside ? from.at(first + row, head) + column : from.data;
    copy_async<16>(tile + static_cast<std::uint32_t>(row * kTileStride<D> + column) * 2, source, inside);
  }
}

/// The left operand: rows [row, row + 16), columns [16 step, 16 step + 16) of a tile.
template <int D>
__device__ __forceinline__ void load_left(std::uint32_t tile, int row, int step, const Lane& me, Fragment& to) {
  const int offset = (row + me.lane % 16) * kTileStride<D> + 16 * step + me.lane / 16 * 8;
  load_matrices(tile + static_cast<std::uint32_t>(offset) * 2, to);
}

/// sums [16 M, N] += left · tileᵀ, where the tile holds N rows of D. `left(m, step)` gives the left operand's
/// fragments.
template <int D, int N, int M, class Left>
__device__ __forceinline__ void multiply_by_rows(std::uint32_t tile, const Lane& me, Left left,
                                                 float (&sums)[M][N / 8][4]) {
  const int lane_offset = (me.lane % 8 + me.lane / 16 * 8) * kTileStride<D> + me.lane / 8 % 2 * 8;
  const std::uint32_t base = tile + static_cast<std::uint32_t>(lane_offset) * 2;
#pragma unroll
  for (int step = 0; step < D / 16; ++step) {
    Fragment a[M];
#pragma unroll
    for (int m = 0; m < M; ++m) left(m, step, a[m]);
#pragma unroll
    for (int pair = 0; pair < N / 16; ++pair) {
      Fragment b;
      load_matrices(base + (16 * pair * kTileStride<D> + 16 * step) * 2, b);
#pragma unroll
      for (int m = 0; m < M; ++m) {
        multiply_add(sums[m][2 * pair], a[m], b[0], b[1]);
        multiply_add(sums[m][2 * pair + 1], a[m], b[2], b[3]);
      }
    }
  }
}

/// sums [16 M, kOut] += left [16 M, N] · columns [first, first + kOut) of the tile [N, D].
template <int D, int N, int kOut, int M>
__device__ __forceinline__ void multiply_by_columns(std::uint32_t tile, int first, const Lane& me,
                                                    const Fragment (&left)[M][N / 16], float (&sums)[M][kOut / 8][4]) {
  const int lane_offset = me.lane % 16 * kTileStride<D> + first + me.lane / 16 * 8;
  const std::uint32_t base = tile + static_cast<std::uint32_t>(lane_offset) * 2;
#pragma unroll
  for (int step = 0; step < N / 16; ++step)
#pragma unroll
    for (int pair = 0; pair < kOut / 16; ++pair) {
      Fragment b;
      load_matrices_transposed(base + (16 * step * kTileStride<D> + 16 * pair) * 2, b);
#pragma unroll
      for (int m = 0; m < M; ++m) {
        multiply_add(sums[m][2 * pair], left[m][step], b[0], b[1]);
        multiply_add(sums[m][2 * pair + 1], left[m][step], b[2], b[3]);
      }
    }
}

__device__ __forceinline__ std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&both);
}

/// Sums [16 M, N] as the left operand of the next product: a lane holds the elements that it must give.
template <int N, int M>
__device__ __forceinline__ void as_left(const float (&sums)[M][N / 8][4], Fragment (&left)[M][N / 16]) {
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int step = 0; step < N / 16; ++step) {
      left[m][step][0] = pack(sums[m][2 * step][0], sums[m][2 * step][1]);
      left[m][step][1] = pack(sums[m][2 * step][2], sums[m][2 * step][3]);
      left[m][step][2] = pack(sums[m][2 * step + 1][0], sums[m][2 * step + 1][1]);
      left[m][step][3] = pack(sums[m][2 * step + 1][2], sums[m][2 * step + 1][3]);
    }
}

/// Half `half` (row me.row + 8 · half) of sums [16, kOut], times `factor`, to columns [first, …) of one row of memory.
template <int kOut>
__device__ __forceinline__ void store_row(const float (&sums)[kOut / 8][4], int half, float factor, int first,
                                          int head_dim, const Lane& me, __nv_bfloat16* row) {
#pragma unroll
  for (int tile = 0; tile < kOut / 8; ++tile) {
    const int column = first + 8 * tile + me.column;
    if (column < head_dim)  // a multiple of 8, so that both elements are inside
      *reinterpret_cast<std::uint32_t*>(row + column) =
          pack(factor * sums[tile][2 * half], factor * sums[tile][2 * half + 1]);
  }
}

/// Over the four lanes that share a row of sums.
__device__ __forceinline__ float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, 1));
  return fmaxf(value, __shfl_xor_sync(kAllLanes, value, 2));
}
__device__ __forceinline__ float quad_sum(float value) {
  value += __shfl_xor_sync(kAllLanes, value, 1);
  return value + __shfl_xor_sync(kAllLanes, value, 2);
}

}  // namespace ferula::cuda
