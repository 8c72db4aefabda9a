// Attention forward with multiply-adds in f32: for f32 models, and for bf16 heads that tensor cores cannot read.
#include "ops/cuda/attention_tile.cuh"
#include "ops/cuda/instructions.cuh"
#include "ops/cuda/previous_kernel.cuh"

namespace ferula::cuda {
namespace {

template <class Shape>
constexpr std::size_t forward_shared_bytes() {
  return sizeof(float) * ((Shape::rows + Shape::columns) * Shape::stride + Shape::rows * Shape::score_stride);
}

/// The online softmax of the thread's rows; logarithms to base 2. All 16 threads of a row hold the same.
template <class Shape>
struct RowStates {
  float maximum[Shape::R], total[Shape::R];
};

/// Masks and scales the scores, turns them into weights, and brings state and sums up to date.
template <class Shape>
__device__ __forceinline__ void weigh(float (&scores)[Shape::R][Shape::C], const std::int64_t first_row,
                                      const std::int64_t first_key, const int (&begin)[Shape::R], float scale,
                                      const TileThread& me, RowStates<Shape>& state, TileSums<Shape>& sums) {
#pragma unroll
  for (int i = 0; i < Shape::R; ++i) {
    const std::int64_t row = first_row + me.y + kSide * i;
    float largest = state.maximum[i];
#pragma unroll
    for (int j = 0; j < Shape::C; ++j) {
      const std::int64_t key = first_key + me.x + kSide * j;
      scores[i][j] = key <= row && key >= begin[i] ? scores[i][j] * scale : -INFINITY;
      largest = fmaxf(largest, scores[i][j]);
    }
    largest = row_max(largest);
    const float reference = largest == -INFINITY ? 0.0f : largest;  // no key seen yet
    const float factor = exp2f(state.maximum[i] - reference);
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < Shape::C; ++j) {
      scores[i][j] = exp2f(scores[i][j] - reference);
      sum += scores[i][j];
    }
    state.total[i] = state.total[i] * factor + row_sum(sum);
    state.maximum[i] = largest;
#pragma unroll
    for (int g = 0; g < Shape::groups; ++g)
#pragma unroll
      for (int c = 0; c < 4; ++c) sums[i][g][c] *= factor;
  }
}

template <class Shape, class T>
__global__ void __launch_bounds__(kTileThreads) plain_attention_kernel(const AttentionForward<T> call) {
  await_previous_kernel();
  auto* memory = dynamic_shared<float>();
  float* queries = memory;
  float* staging = queries + Shape::rows * Shape::stride;  // keys, then values
  float* weights = staging + Shape::columns * Shape::stride;
  const AttentionShape& shape = call.shape;
  const TileThread me;
  const int head = static_cast<int>(blockIdx.y), kv_head = head / shape.group();
  const std::int64_t first_row = static_cast<std::int64_t>(gridDim.x - 1 - blockIdx.x) * Shape::rows;  // longest first
  const std::int64_t last_row = min(first_row + Shape::rows, shape.rows) - 1;
  int begin[Shape::R];
  RowStates<Shape> state;
  TileSums<Shape> sums = {};
#pragma unroll
  for (int i = 0; i < Shape::R; ++i) {
    begin[i] = shape.begin[min(first_row + me.y + kSide * i, last_row)];
    state.maximum[i] = -INFINITY;
    state.total[i] = 0.0f;
  }
  load_operand<Shape>(call.q, head, first_row, Shape::rows, shape.rows, shape.head_dim, queries);
  for (std::int64_t key = shape.begin[first_row]; key <= last_row; key += Shape::columns) {
    load_operand<Shape>(call.k, kv_head, key, Shape::columns, shape.rows, shape.head_dim, staging);
    __syncthreads();
    float scores[Shape::R][Shape::C];
    multiply_rows<Shape>(queries, staging, me, scores);
    weigh<Shape>(scores, first_row, key, begin, shape.scale * kLog2e, me, state, sums);
    put_scores<Shape>(scores, me, weights);
    __syncthreads();
    load_operand<Shape>(call.v, kv_head, key, Shape::columns, shape.rows, shape.head_dim, staging);
    __syncthreads();
    add_weighted<Shape>(weights, staging, me, sums);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < Shape::R; ++i) {
    const std::int64_t row = first_row + me.y + kSide * i;
    if (row > last_row) continue;
    put_row<Shape>(sums[i], 1.0f / state.total[i], me, shape.head_dim, call.out.at(row, head));
    if (me.x == 0)
      call.logsumexp[head * call.logsumexp_stride + row] = (state.maximum[i] + log2f(state.total[i])) * kLn2;
  }
}

template <class Shape, class T>
void launch(cudaStream_t stream, const AttentionForward<T>& call) {
  constexpr std::size_t kShared = forward_shared_bytes<Shape>();
  static_assert(kShared <= 99 * 1024, "what every architecture of 8.0 and later has");
  allow_shared(plain_attention_kernel<Shape, T>, kShared);
  const dim3 grid(blocks_for(call.shape.rows, Shape::rows), static_cast<unsigned>(call.shape.heads));
  launch_kernel({stream, grid, kTileThreads, kShared}, "plain_attention", plain_attention_kernel<Shape, T>, call);
}

}  // namespace

template <class T>
void plain_attention(cudaStream_t stream, const AttentionForward<T>& call) {
  if (call.shape.head_dim <= 64)
    launch<TileShape<64, 4, 2>>(stream, call);
  else if (call.shape.head_dim <= 128)
    launch<TileShape<128, 4, 2>>(stream, call);
  else
    launch<TileShape<256, 2, 2>>(stream, call);
}

template void plain_attention<float>(cudaStream_t, const AttentionForward<float>&);
template void plain_attention<bfloat>(cudaStream_t, const AttentionForward<bfloat>&);

}  // namespace ferula::cuda
