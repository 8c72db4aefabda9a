// Attention backward on tensor cores in two passes, each of which sums in a fixed order: one owns queries and walks
// over keys (dq), one owns keys and walks over the queries of all heads of its group (dk, dv). Scores are computed in
// both.
#pragma once

#include "ops/cuda/attention_flash.hpp"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/tensor_core.cuh"

namespace ferula::cuda {

using Backward = AttentionBackward<__nv_bfloat16>;

/// Rows that a block owns (16 a warp), and columns that it meets in a step.
template <int D>
struct BackwardShape {
  static constexpr int rows = D <= 128 ? 64 : 32;
  static constexpr int columns = D <= 64 ? 64 : D <= 128 ? 32 : 16;
  static constexpr int warps = rows / 16;
  static constexpr int threads = warps * kWarp;
  static constexpr int blocks = D <= 128 ? 2 : 1;
  static constexpr bool holds_left = D <= 64;     // the owned operands in registers, else in shared memory
  static constexpr int out = D <= 128 ? D : 128;  // columns of dk and dv that a block sums
  static constexpr std::size_t own_bytes = tile_bytes<D>(rows);
  static constexpr std::size_t column_bytes = tile_bytes<D>(columns);
  static constexpr std::size_t stage_bytes = 2 * column_bytes + 2 * columns * sizeof(float);
  static constexpr std::size_t shared_bytes = 2 * own_bytes + 2 * stage_bytes;
};

/// The owned rows as left operand: fragments in registers where they fit.
template <int D, bool kHeld>
struct Owned {
  Fragment fragments[D / 16];

  __device__ __forceinline__ void prepare(std::uint32_t tile, const Lane& me) {
#pragma unroll
    for (int step = 0; step < D / 16; ++step) load_left<D>(tile, me.warp * 16, step, me, fragments[step]);
  }
  __device__ __forceinline__ void get(std::uint32_t, const Lane&, int step, Fragment& to) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = fragments[step][i];
  }
};

template <int D>
struct Owned<D, false> {
  __device__ __forceinline__ void prepare(std::uint32_t, const Lane&) {}
  __device__ __forceinline__ void get(std::uint32_t tile, const Lane& me, int step, Fragment& to) const {
    load_left<D>(tile, me.warp * 16, step, me, to);
  }
};

template <int D>
using OwnedRows = Owned<D, BackwardShape<D>::holds_left>;

/// sums [16, columns] = the warp's owned rows · columnsᵀ.
template <int D>
__device__ __forceinline__ void multiply_owned(const OwnedRows<D>& owned, std::uint32_t own_tile,
                                               std::uint32_t column_tile, const Lane& me,
                                               float (&sums)[1][BackwardShape<D>::columns / 8][4]) {
#pragma unroll
  for (int n = 0; n < BackwardShape<D>::columns / 8; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[0][n][i] = 0.0f;
  multiply_by_rows<D, BackwardShape<D>::columns, 1>(
      column_tile, me, [&](int, int step, Fragment& to) { owned.get(own_tile, me, step, to); }, sums);
}

/// What a lane knows of its two rows of queries: the first key that each sees, logsumexp in powers of two, and delta.
struct QueryRows {
  int begin[2];
  float normal[2], delta[2];

  __device__ __forceinline__ QueryRows(const Backward& call, int head, int warp_row, int last_row, const Lane& me) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = min(warp_row + 8 * half + me.row, last_row);
      begin[half] = call.shape.begin[row];
      normal[half] = call.logsumexp[head * call.logsumexp_stride + row] * kLog2OfE;
      delta[half] = call.delta[head * call.shape.rows + row];
    }
  }
};

/// Slopes dp [queries, keys] become p (dp − delta).
template <int D>
__device__ __forceinline__ void weigh_queries(const QueryRows& mine, float scale, int warp_row, int key, int last_begin,
                                              const Lane& me,
                                              const float (&scores)[1][BackwardShape<D>::columns / 8][4],
                                              float (&slopes)[1][BackwardShape<D>::columns / 8][4]) {
  constexpr int kColumns = BackwardShape<D>::columns;
  const bool masked = key + kColumns - 1 > warp_row || key < last_begin;
#pragma unroll
  for (int n = 0; n < kColumns / 8; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int half = i / 2, row = warp_row + 8 * half + me.row, column = key + 8 * n + me.column + i % 2;
      const bool visible = !masked || (column <= row && column >= mine.begin[half]);
      const float weight = visible ? power_of_two(fmaf(scores[0][n][i], scale, -mine.normal[half])) : 0.0f;
      slopes[0][n][i] = weight * (slopes[0][n][i] - mine.delta[half]);
    }
}

/// dq[r] = scale · Σ p (dp − delta) k, with p = e^(score − logsumexp) and dp = dout · v.
template <int D>
__global__ void __launch_bounds__(BackwardShape<D>::threads, BackwardShape<D>::blocks)
    flash_attention_dq_kernel(const __grid_constant__ Backward call) {
  await_previous_kernel();
  using Shape = BackwardShape<D>;
  const AttentionShape& shape = call.shape;
  const Lane me;
  const int head = static_cast<int>(blockIdx.y), kv_head = head / shape.group();
  const auto rows = static_cast<int>(shape.rows);
  const int first_row = static_cast<int>(gridDim.x - 1 - blockIdx.x) * Shape::rows;  // the longest first
  const int last_row = min(first_row + Shape::rows, rows) - 1;
  const int first_key = shape.begin[first_row], last_begin = shape.begin[last_row];
  const std::uint32_t queries = shared_address(dynamic_shared<unsigned char>()), upstream = queries + Shape::own_bytes;
  const std::uint32_t stages = upstream + Shape::own_bytes;
  const auto load_stage = [&](int key, std::uint32_t stage) {
    load_tile<D, Shape::columns, Shape::threads>(call.k, kv_head, key, rows, shape.head_dim, stage);
    load_tile<D, Shape::columns, Shape::threads>(call.v, kv_head, key, rows, shape.head_dim,
                                                 stage + Shape::column_bytes);
  };
  load_tile<D, Shape::rows, Shape::threads>(call.q, head, first_row, rows, shape.head_dim, queries);
  load_tile<D, Shape::rows, Shape::threads>(call.dout, head, first_row, rows, shape.head_dim, upstream);
  load_stage(first_key, stages);

  const int warp_row = first_row + 16 * me.warp;
  const QueryRows mine(call, head, warp_row, last_row, me);
  wait_for_copies();
  __syncthreads();
  OwnedRows<D> q, dout;
  q.prepare(queries, me);
  dout.prepare(upstream, me);
  float dq[1][D / 8][4] = {};
  const float scale = shape.scale * kLog2OfE;
  int stage = 0;
  for (int key = first_key; key <= last_row; key += Shape::columns, stage ^= 1) {
    wait_for_copies();
    __syncthreads();  // this stage has arrived, and nobody reads the other one any more
    const int next = key + Shape::columns;
    if (next <= last_row) load_stage(next, stages + (stage ^ 1) * Shape::stage_bytes);
    if (key > warp_row + 15) continue;  // all of its keys lie behind the warp's rows
    const std::uint32_t keys = stages + stage * Shape::stage_bytes;
    float scores[1][Shape::columns / 8][4], slopes[1][Shape::columns / 8][4];
    multiply_owned<D>(q, queries, keys, me, scores);
    multiply_owned<D>(dout, upstream, keys + Shape::column_bytes, me, slopes);
    weigh_queries<D>(mine, scale, warp_row, key, last_begin, me, scores, slopes);
    Fragment left[1][Shape::columns / 16];
    as_left<Shape::columns, 1>(slopes, left);
    multiply_by_columns<D, Shape::columns, D, 1>(keys, 0, me, left, dq);
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = warp_row + 8 * half + me.row;
    if (row < rows) store_row<D>(dq[0], half, shape.scale, 0, shape.head_dim, me, call.dq.at(row, head));
  }
}

/// Queries, upstream gradients, logsumexp and delta of a step, in the memory of one stage.
struct QueryStage {
  std::uint32_t queries, upstream, logsumexp, delta;

  template <int D>
  static __device__ __forceinline__ QueryStage at(std::uint32_t stage) {
    using Shape = BackwardShape<D>;
    const std::uint32_t scalars = stage + 2 * Shape::column_bytes;
    return {stage, stage + static_cast<std::uint32_t>(Shape::column_bytes), scalars,
            scalars + static_cast<std::uint32_t>(Shape::columns * sizeof(float))};
  }
};

template <int D>
__device__ __forceinline__ void load_queries(const Backward& call, int head, int query, const QueryStage& stage) {
  using Shape = BackwardShape<D>;
  const auto rows = static_cast<int>(call.shape.rows);
  load_tile<D, Shape::columns, Shape::threads>(call.q, head, query, rows, call.shape.head_dim, stage.queries);
  load_tile<D, Shape::columns, Shape::threads>(call.dout, head, query, rows, call.shape.head_dim, stage.upstream);
  const int at = static_cast<int>(threadIdx.x);
  static_assert(Shape::columns <= Shape::threads);
  if (at >= Shape::columns) return;
  const bool inside = query + at < rows;
  const std::int64_t row = inside ? query + at : 0;
  copy_async<4>(stage.logsumexp + 4 * at, call.logsumexp + head * call.logsumexp_stride + row, inside);
  copy_async<4>(stage.delta + 4 * at, call.delta + head * call.shape.rows + row, inside);
}

/// Scores [keys, queries] become weights p, and slopes become p (dp − delta).
template <int D>
__device__ __forceinline__ void weigh_keys(const AttentionShape& shape, const QueryStage& stage, int warp_key,
                                           int query, int least_end, const int (&end)[2], const Lane& me,
                                           float (&scores)[1][BackwardShape<D>::columns / 8][4],
                                           float (&slopes)[1][BackwardShape<D>::columns / 8][4]) {
  constexpr int kColumns = BackwardShape<D>::columns;
  const bool masked = query < warp_key + 15 || query + kColumns > least_end;
  const float scale = shape.scale * kLog2OfE;
#pragma unroll
  for (int n = 0; n < kColumns / 8; ++n) {
    const std::uint32_t offset = static_cast<std::uint32_t>(8 * n + me.column) * 4;
    const float2 logsumexp = load_pair(stage.logsumexp + offset), delta = load_pair(stage.delta + offset);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int half = i / 2, key = warp_key + 8 * half + me.row, row = query + 8 * n + me.column + i % 2;
      const bool visible = !masked || (key <= row && row < end[half]);
      const float normal = (i % 2 == 0 ? logsumexp.x : logsumexp.y) * kLog2OfE;
      const float weight = visible ? power_of_two(fmaf(scores[0][n][i], scale, -normal)) : 0.0f;
      slopes[0][n][i] = weight * (slopes[0][n][i] - (i % 2 == 0 ? delta.x : delta.y));
      scores[0][n][i] = weight;
    }
  }
}

/// Writes the warp's rows of dk and dv, columns [first_out, first_out + out).
template <int D>
__device__ __forceinline__ void store_keys(const Backward& call, int kv_head, int warp_key, int last_key, int first_out,
                                           const Lane& me, const float (&dk)[BackwardShape<D>::out / 8][4],
                                           const float (&dv)[BackwardShape<D>::out / 8][4]) {
  constexpr int kOut = BackwardShape<D>::out;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int key = warp_key + 8 * half + me.row;
    if (key > last_key) continue;
    store_row<kOut>(dk, half, call.shape.scale, first_out, call.shape.head_dim, me, call.dk.at(key, kv_head));
    store_row<kOut>(dv, half, 1.0f, first_out, call.shape.head_dim, me, call.dv.at(key, kv_head));
  }
}

/// dv[k] = Σ p dout and dk[k] = scale · Σ p (dp − delta) q over the heads of the group, then over the queries.
template <int D>
__global__ void __launch_bounds__(BackwardShape<D>::threads, BackwardShape<D>::blocks)
    flash_attention_dkv_kernel(const __grid_constant__ Backward call) {
  await_previous_kernel();
  using Shape = BackwardShape<D>;
  const AttentionShape& shape = call.shape;
  const Lane me;
  const int kv_head = static_cast<int>(blockIdx.y), first_out = static_cast<int>(blockIdx.z) * Shape::out;
  const auto rows = static_cast<int>(shape.rows);
  const int first_key = static_cast<int>(blockIdx.x) * Shape::rows;
  const int last_key = min(first_key + Shape::rows, rows) - 1;
  const int least_end = shape.end[first_key], most_end = shape.end[last_key];
  const std::uint32_t keys = shared_address(dynamic_shared<unsigned char>()), values = keys + Shape::own_bytes;
  const std::uint32_t stages = values + Shape::own_bytes;
  const auto stage_at = [&](int stage) { return QueryStage::at<D>(stages + stage * Shape::stage_bytes); };
  const int first_head = kv_head * shape.group();
  load_tile<D, Shape::rows, Shape::threads>(call.k, kv_head, first_key, rows, shape.head_dim, keys);
  load_tile<D, Shape::rows, Shape::threads>(call.v, kv_head, first_key, rows, shape.head_dim, values);
  load_queries<D>(call, first_head, first_key, stage_at(0));

  const int warp_key = first_key + 16 * me.warp;
  int end[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int key = warp_key + 8 * half + me.row;
    end[half] = key <= last_key ? shape.end[key] : 0;
  }
  wait_for_copies();
  __syncthreads();
  OwnedRows<D> k, v;
  k.prepare(keys, me);
  v.prepare(values, me);
  float dk[1][Shape::out / 8][4] = {}, dv[1][Shape::out / 8][4] = {};
  const int steps = (most_end - first_key + Shape::columns - 1) / Shape::columns, all = steps * shape.group();
  for (int at = 0, step = 0, head = first_head; at < all; ++at) {
    wait_for_copies();
    __syncthreads();  // this stage has arrived, and nobody reads the other one any more
    const int query = first_key + step * Shape::columns;
    const bool wraps = ++step == steps;
    if (wraps) {
      step = 0;
      ++head;
    }
    if (at + 1 < all) load_queries<D>(call, head, first_key + step * Shape::columns, stage_at((at + 1) % 2));
    if (query + Shape::columns - 1 < warp_key) continue;  // all of its queries lie before the warp's keys
    const QueryStage stage = stage_at(at % 2);
    float scores[1][Shape::columns / 8][4], slopes[1][Shape::columns / 8][4];
    multiply_owned<D>(k, keys, stage.queries, me, scores);
    multiply_owned<D>(v, values, stage.upstream, me, slopes);
    weigh_keys<D>(shape, stage, warp_key, query, least_end, end, me, scores, slopes);
    Fragment left[1][Shape::columns / 16];
    as_left<Shape::columns, 1>(scores, left);
    multiply_by_columns<D, Shape::columns, Shape::out, 1>(stage.upstream, first_out, me, left, dv);
    as_left<Shape::columns, 1>(slopes, left);
    multiply_by_columns<D, Shape::columns, Shape::out, 1>(stage.queries, first_out, me, left, dk);
  }
  store_keys<D>(call, kv_head, warp_key, last_key, first_out, me, dk[0], dv[0]);
}

template <int D>
void launch_flash_attention_backward(cudaStream_t stream, const Backward& call) {
  using Shape = BackwardShape<D>;
  static_assert(Shape::shared_bytes <= 99 * 1024, "what every architecture of 8.0 and later has");
  const auto allow = [](auto kernel) {
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(Shape::shared_bytes)),
               "cudaFuncSetAttribute");
  };
  allow(flash_attention_dq_kernel<D>);
  allow(flash_attention_dkv_kernel<D>);
  const unsigned tiles = blocks_for(call.shape.rows, Shape::rows);
  const dim3 query_grid(tiles, static_cast<unsigned>(call.shape.heads));
  launch_kernel({stream, query_grid, Shape::threads, Shape::shared_bytes}, "flash_attention_dq",
                flash_attention_dq_kernel<D>, call);
  const dim3 key_grid(tiles, static_cast<unsigned>(call.shape.kv_heads), D / Shape::out);
  launch_kernel({stream, key_grid, Shape::threads, Shape::shared_bytes}, "flash_attention_dkv",
                flash_attention_dkv_kernel<D>, call);
}

}  // namespace ferula::cuda
