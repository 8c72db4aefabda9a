// Attention backward with multiply-adds in f32: a pass over keys for dq, and one over heads and queries for dk and dv.
#include "ops/cuda/attention_tile.cuh"
#include "ops/cuda/instructions.cuh"
#include "ops/cuda/previous_kernel.cuh"

namespace ferula::cuda {
namespace {

/// Tiles of two operands by rows and two by columns, and two tiles of scores.
template <class Shape>
constexpr std::size_t backward_shared_bytes() {
  return sizeof(float) * (2 * (Shape::rows + Shape::columns) * Shape::stride + 2 * Shape::rows * Shape::score_stride);
}

template <class Shape>
struct Tiles {
  float *row_first, *row_second;        // [rows, D]
  float *column_first, *column_second;  // [columns, D]
  float *weights, *slopes;              // [rows, columns]

  __device__ explicit Tiles(float* memory)
      : row_first(memory),
        row_second(row_first + Shape::rows * Shape::stride),
        column_first(row_second + Shape::rows * Shape::stride),
        column_second(column_first + Shape::columns * Shape::stride),
        weights(column_second + Shape::columns * Shape::stride),
        slopes(weights + Shape::rows * Shape::score_stride) {}
};

/// dq[r] = scale · Σ p (dp − delta) k, with p = e^(score − logsumexp) and dp = dout · v.
template <class Shape, class T>
__global__ void __launch_bounds__(kTileThreads) plain_attention_dq_kernel(const AttentionBackward<T> call) {
  await_previous_kernel();
  auto* memory = dynamic_shared<float>();
  const Tiles<Shape> tiles(memory);
  const AttentionShape& shape = call.shape;
  const TileThread me;
  const int head = static_cast<int>(blockIdx.y), kv_head = head / shape.group();
  const std::int64_t first_row = static_cast<std::int64_t>(gridDim.x - 1 - blockIdx.x) * Shape::rows;
  const std::int64_t last_row = min(first_row + Shape::rows, shape.rows) - 1;
  int begin[Shape::R];
  float logsumexp[Shape::R], delta[Shape::R];
#pragma unroll
  for (int i = 0; i < Shape::R; ++i) {
    const std::int64_t row = min(first_row + me.y + kSide * i, last_row);
    begin[i] = shape.begin[row];
    logsumexp[i] = call.logsumexp[head * call.logsumexp_stride + row] * kLog2e;
    delta[i] = call.delta[head * shape.rows + row];
  }
  TileSums<Shape> sums = {};
  load_operand<Shape>(call.q, head, first_row, Shape::rows, shape.rows, shape.head_dim, tiles.row_first);
  load_operand<Shape>(call.dout, head, first_row, Shape::rows, shape.rows, shape.head_dim, tiles.row_second);
  for (std::int64_t key = shape.begin[first_row]; key <= last_row; key += Shape::columns) {
    load_operand<Shape>(call.k, kv_head, key, Shape::columns, shape.rows, shape.head_dim, tiles.column_first);
    load_operand<Shape>(call.v, kv_head, key, Shape::columns, shape.rows, shape.head_dim, tiles.column_second);
    __syncthreads();
    float scores[Shape::R][Shape::C], slopes[Shape::R][Shape::C];
    multiply_rows<Shape>(tiles.row_first, tiles.column_first, me, scores);
    multiply_rows<Shape>(tiles.row_second, tiles.column_second, me, slopes);
#pragma unroll
    for (int i = 0; i < Shape::R; ++i)
#pragma unroll
      for (int j = 0; j < Shape::C; ++j) {
        const std::int64_t row = first_row + me.y + kSide * i, column = key + me.x + kSide * j;
        const bool visible = column <= row && column >= begin[i];
        const float weight = visible ? exp2f(scores[i][j] * (shape.scale * kLog2e) - logsumexp[i]) : 0.0f;
        slopes[i][j] = weight * (slopes[i][j] - delta[i]);
      }
    put_scores<Shape>(slopes, me, tiles.slopes);
    __syncthreads();
    add_weighted<Shape>(tiles.slopes, tiles.column_first, me, sums);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < Shape::R; ++i) {
    const std::int64_t row = first_row + me.y + kSide * i;
    if (row <= last_row) put_row<Shape>(sums[i], shape.scale, me, shape.head_dim, call.dq.at(row, head));
  }
}

/// The rows of a tile are keys, its columns are queries: weights and slopes are transposed.
template <class Shape>
__device__ __forceinline__ void key_slopes(const AttentionShape& shape, std::int64_t first_key, std::int64_t query,
                                           const int (&end)[Shape::R], const float* logsumexp, const float* delta,
                                           const TileThread& me, float (&scores)[Shape::R][Shape::C],
                                           float (&slopes)[Shape::R][Shape::C]) {
#pragma unroll
  for (int j = 0; j < Shape::C; ++j) {
    const std::int64_t row = query + me.x + kSide * j;
    const bool inside = row < shape.rows;
    const float normal = inside ? logsumexp[row] * kLog2e : 0.0f, mean = inside ? delta[row] : 0.0f;
#pragma unroll
    for (int i = 0; i < Shape::R; ++i) {
      const std::int64_t key = first_key + me.y + kSide * i;
      const bool visible = inside && key <= row && row < end[i];
      scores[i][j] = visible ? exp2f(scores[i][j] * (shape.scale * kLog2e) - normal) : 0.0f;
      slopes[i][j] = scores[i][j] * (slopes[i][j] - mean);
    }
  }
}

/// dv[k] = Σ p dout and dk[k] = scale · Σ p (dp − delta) q over the heads of the group, then over the queries.
template <class Shape, class T>
__global__ void __launch_bounds__(kTileThreads) plain_attention_dkv_kernel(const AttentionBackward<T> call) {
  await_previous_kernel();
  auto* memory = dynamic_shared<float>();
  const Tiles<Shape> tiles(memory);
  const AttentionShape& shape = call.shape;
  const TileThread me;
  const int kv_head = static_cast<int>(blockIdx.y);
  const std::int64_t first_key = static_cast<std::int64_t>(blockIdx.x) * Shape::rows;
  const std::int64_t last_key = min(first_key + Shape::rows, shape.rows) - 1;
  int end[Shape::R];
#pragma unroll
  for (int i = 0; i < Shape::R; ++i) {
    const std::int64_t key = first_key + me.y + kSide * i;
    end[i] = key <= last_key ? shape.end[key] : 0;
  }
  const std::int64_t last_query = shape.end[last_key];
  TileSums<Shape> dk = {}, dv = {};
  load_operand<Shape>(call.k, kv_head, first_key, Shape::rows, shape.rows, shape.head_dim, tiles.row_first);
  load_operand<Shape>(call.v, kv_head, first_key, Shape::rows, shape.rows, shape.head_dim, tiles.row_second);
  for (int head = kv_head * shape.group(); head < (kv_head + 1) * shape.group(); ++head)
    for (std::int64_t query = first_key; query < last_query; query += Shape::columns) {
      load_operand<Shape>(call.q, head, query, Shape::columns, shape.rows, shape.head_dim, tiles.column_first);
      load_operand<Shape>(call.dout, head, query, Shape::columns, shape.rows, shape.head_dim, tiles.column_second);
      __syncthreads();
      float scores[Shape::R][Shape::C], slopes[Shape::R][Shape::C];
      multiply_rows<Shape>(tiles.row_first, tiles.column_first, me, scores);
      multiply_rows<Shape>(tiles.row_second, tiles.column_second, me, slopes);
      key_slopes<Shape>(shape, first_key, query, end, call.logsumexp + head * call.logsumexp_stride,
                        call.delta + head * shape.rows, me, scores, slopes);
      put_scores<Shape>(scores, me, tiles.weights);
      put_scores<Shape>(slopes, me, tiles.slopes);
      __syncthreads();
      add_weighted<Shape>(tiles.weights, tiles.column_second, me, dv);
      add_weighted<Shape>(tiles.slopes, tiles.column_first, me, dk);
      __syncthreads();
    }
#pragma unroll
  for (int i = 0; i < Shape::R; ++i) {
    const std::int64_t key = first_key + me.y + kSide * i;
    if (key > last_key) continue;
    put_row<Shape>(dk[i], shape.scale, me, shape.head_dim, call.dk.at(key, kv_head));
    put_row<Shape>(dv[i], 1.0f, me, shape.head_dim, call.dv.at(key, kv_head));
  }
}

template <class Shape, class T>
void launch(cudaStream_t stream, const AttentionBackward<T>& call) {
  constexpr std::size_t kShared = backward_shared_bytes<Shape>();
  static_assert(kShared <= 99 * 1024, "what every architecture of 8.0 and later has");
  allow_shared(plain_attention_dq_kernel<Shape, T>, kShared);
  allow_shared(plain_attention_dkv_kernel<Shape, T>, kShared);
  const unsigned tiles = blocks_for(call.shape.rows, Shape::rows);
  launch_kernel({stream, dim3(tiles, static_cast<unsigned>(call.shape.heads)), kTileThreads, kShared},
                "plain_attention_dq", plain_attention_dq_kernel<Shape, T>, call);
  launch_kernel({stream, dim3(tiles, static_cast<unsigned>(call.shape.kv_heads)), kTileThreads, kShared},
                "plain_attention_dkv", plain_attention_dkv_kernel<Shape, T>, call);
}

}  // namespace

template <class T>
void plain_attention_backward(cudaStream_t stream, const AttentionBackward<T>& call) {
  if (call.shape.head_dim <= 64)
    launch<TileShape<64, 4, 2>>(stream, call);
  else if (call.shape.head_dim <= 128)
    launch<TileShape<128, 2, 2>>(stream, call);
  else
    launch<TileShape<256, 1, 1>>(stream, call);
}

template void plain_attention_backward<float>(cudaStream_t, const AttentionBackward<float>&);
template void plain_attention_backward<bfloat>(cudaStream_t, const AttentionBackward<bfloat>&);

}  // namespace ferula::cuda
