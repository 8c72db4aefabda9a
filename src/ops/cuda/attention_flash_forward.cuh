// Attention forward on tensor cores (Dao 2023, "FlashAttention-2"): a block owns some rows of one head and walks over
// their keys with an online softmax; the next keys and values are copied while it computes.
#pragma once

#include "ops/cuda/attention_flash.hpp"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/tensor_core.cuh"

namespace ferula::cuda {

/// Rows of a block, keys of a step, and how many times 16 rows a warp has. rows = 2 · keys: the queries lie at first in
/// the memory of the second stage.
template <int D>
struct ForwardShape {
  static constexpr int m_tiles = D <= 64 ? 2 : 1;
  static constexpr int rows = D <= 128 ? 128 : 64;
  static constexpr int keys = rows / 2;
  static constexpr int warps = rows / (16 * m_tiles);
  static constexpr int threads = warps * kWarp;
  static constexpr int blocks = D <= 64 ? 2 : 1;  // of a multiprocessor, at least: bounds the registers
  static constexpr std::size_t stage_bytes = 2 * tile_bytes<D>(keys);
  static constexpr std::size_t shared_bytes = 2 * stage_bytes;
};

/// A warp's queries, sums and softmax. Index of rows: [m][half], the row 16 m + me.row + 8 half of the warp.
template <int D>
struct ForwardState {
  static constexpr int M = ForwardShape<D>::m_tiles;
  Fragment q[M][D / 16];
  float sums[M][D / 8][4];
  float maximum[M][2], total[M][2];  // of raw scores; total of this lane's columns only
  int begin[M][2];
};

/// Turns scores into weights in place; brings maximum, total and sums up to date.
template <int D, bool kMasked>
__device__ __forceinline__ void weigh(float (&scores)[ForwardShape<D>::m_tiles][ForwardShape<D>::keys / 8][4], int row,
                                      int key, float scale, const Lane& me, ForwardState<D>& state) {
  constexpr int kColumns = ForwardShape<D>::keys / 8;
#pragma unroll
  for (int m = 0; m < ForwardShape<D>::m_tiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int my_row = row + 16 * m + 8 * half + me.row;
      float largest = state.maximum[m][half];
#pragma unroll
      for (int n = 0; n < kColumns; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& score = scores[m][n][2 * half + e];
          if constexpr (kMasked) {
            const int column = key + 8 * n + me.column + e;
            if (column > my_row || column < state.begin[m][half]) score = -INFINITY;
          }
          largest = fmaxf(largest, score);
        }
      largest = quad_max(largest);
      const float reference = largest == -INFINITY ? 0.0f : largest * scale;  // −∞: no key seen yet
      const float factor = power_of_two(fmaf(state.maximum[m][half], scale, -reference));
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < kColumns; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& score = scores[m][n][2 * half + e];
          score = power_of_two(fmaf(score, scale, -reference));
          sum += score;
        }
      state.total[m][half] = fmaf(state.total[m][half], factor, sum);
      state.maximum[m][half] = largest;
#pragma unroll
      for (int tile = 0; tile < D / 8; ++tile) {
        state.sums[m][tile][2 * half] *= factor;
        state.sums[m][tile][2 * half + 1] *= factor;
      }
    }
}

/// Divides by the totals and writes output and log Σ exp of the warp's rows.
template <int D>
__device__ __forceinline__ void finish(const AttentionForward<__nv_bfloat16>& call, int head, int row, const Lane& me,
                                       ForwardState<D>& state) {
#pragma unroll
  for (int m = 0; m < ForwardShape<D>::m_tiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float total = quad_sum(state.total[m][half]);  // all lanes take part
      const int my_row = row + 16 * m + 8 * half + me.row;
      if (my_row >= call.shape.rows) continue;
      store_row<D>(state.sums[m], half, 1.0f / total, 0, call.shape.head_dim, me, call.out.at(my_row, head));
      if (me.column == 0)
        call.logsumexp[head * call.logsumexp_stride + my_row] =
            fmaf(state.maximum[m][half], call.shape.scale, logf(total));
    }
}

/// One step of a warp: scores with `keys`, weights, sums of `values`.
template <int D>
__device__ __forceinline__ void forward_step(std::uint32_t keys, int row, int key, int last_begin, float scale,
                                             const Lane& me, ForwardState<D>& state) {
  using Shape = ForwardShape<D>;
  float scores[Shape::m_tiles][Shape::keys / 8][4] = {};
  multiply_by_rows<D, Shape::keys, Shape::m_tiles>(
      keys, me,
      [&](int m, int step, Fragment& to) {
#pragma unroll
        for (int i = 0; i < 4; ++i) to[i] = state.q[m][step][i];
      },
      scores);
  if (key + Shape::keys - 1 > row || key < last_begin)
    weigh<D, true>(scores, row, key, scale, me, state);
  else
    weigh<D, false>(scores, row, key, scale, me, state);
  Fragment weights[Shape::m_tiles][Shape::keys / 16];
  as_left<Shape::keys, Shape::m_tiles>(scores, weights);
  multiply_by_columns<D, Shape::keys, D, Shape::m_tiles>(keys + tile_bytes<D>(Shape::keys), 0, me, weights, state.sums);
}

template <int D>
__global__ void __launch_bounds__(ForwardShape<D>::threads, ForwardShape<D>::blocks)
    flash_attention_kernel(const __grid_constant__ AttentionForward<__nv_bfloat16> call) {
  await_previous_kernel();
  using Shape = ForwardShape<D>;
  const std::uint32_t stages = shared_address(dynamic_shared<unsigned char>());
  const AttentionShape& shape = call.shape;
  const Lane me;
  const int head = static_cast<int>(blockIdx.y), kv_head = head / shape.group();
  const auto rows = static_cast<int>(shape.rows);
  const int first_row = static_cast<int>(gridDim.x - 1 - blockIdx.x) * Shape::rows;  // the longest first
  const int last_row = min(first_row + Shape::rows, rows) - 1;
  const int first_key = shape.begin[first_row], last_begin = shape.begin[last_row];
  const auto load_stage = [&](int key, std::uint32_t stage) {
    load_tile<D, Shape::keys, Shape::threads>(call.k, kv_head, key, rows, shape.head_dim, stage);
    load_tile<D, Shape::keys, Shape::threads>(call.v, kv_head, key, rows, shape.head_dim,
                                              stage + tile_bytes<D>(Shape::keys));
  };
  const std::uint32_t queries = stages + Shape::stage_bytes;
  load_tile<D, Shape::rows, Shape::threads>(call.q, head, first_row, rows, shape.head_dim, queries);
  load_stage(first_key, stages);

  const int warp_row = first_row + me.warp * 16 * Shape::m_tiles, warp_last = warp_row + 16 * Shape::m_tiles - 1;
  ForwardState<D> state = {};
#pragma unroll
  for (int m = 0; m < Shape::m_tiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      state.maximum[m][half] = -INFINITY;
      state.begin[m][half] = shape.begin[min(warp_row + 16 * m + 8 * half + me.row, last_row)];
    }
  wait_for_copies();
  __syncthreads();
#pragma unroll
  for (int m = 0; m < Shape::m_tiles; ++m)
#pragma unroll
    for (int step = 0; step < D / 16; ++step)
      load_left<D>(queries, (me.warp * Shape::m_tiles + m) * 16, step, me, state.q[m][step]);

  int stage = 0;
  for (int key = first_key; key <= last_row; key += Shape::keys, stage ^= 1) {
    wait_for_copies();
    __syncthreads();  // this stage has arrived, and nobody reads the other one any more
    const int next = key + Shape::keys;
    if (next <= last_row) load_stage(next, stages + (stage ^ 1) * Shape::stage_bytes);
    if (key <= warp_last)
      forward_step<D>(stages + stage * Shape::stage_bytes, warp_row, key, last_begin, shape.scale * kLog2OfE, me,
                      state);
  }
  finish<D>(call, head, warp_row, me, state);
}

template <int D>
void launch_flash_attention(cudaStream_t stream, const AttentionForward<__nv_bfloat16>& call) {
  using Shape = ForwardShape<D>;
  static_assert(Shape::shared_bytes <= 99 * 1024, "what every architecture of 8.0 and later has");
  static_assert(tile_bytes<D>(Shape::rows) == Shape::stage_bytes);
  check_cuda(cudaFuncSetAttribute(flash_attention_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(Shape::shared_bytes)),
             "cudaFuncSetAttribute");
  const dim3 grid(blocks_for(call.shape.rows, Shape::rows), static_cast<unsigned>(call.shape.heads));
  launch_kernel({stream, grid, Shape::threads, Shape::shared_bytes}, "flash_attention", flash_attention_kernel<D>,
                call);
}

}  // namespace ferula::cuda
