// What the kernels of attention read and write, and the entry points of each family of kernels.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace ferula::cuda {

/// [rows, heads, head_dim] with any distance between rows and between heads.
template <class T>
struct Heads {
  T* data = nullptr;
  std::int64_t row_stride = 0, head_stride = 0;  // elements

  template <class Row, class Head>
  __host__ __device__ T* at(Row row, Head head) const {
    return data + static_cast<std::int64_t>(row) * row_stride + static_cast<std::int64_t>(head) * head_stride;
  }
};

/// Shapes common to both passes. Row r attends to rows [begin[r], r]; row k is attended by rows [k, end[k]).
struct AttentionShape {
  std::int64_t rows = 0;
  int heads = 1, kv_heads = 1, head_dim = 0;
  float scale = 0.0f;
  const std::int32_t* begin = nullptr;  // [rows]
  const std::int32_t* end = nullptr;    // [rows]

  __host__ __device__ int group() const { return heads / kv_heads; }
};

template <class T>
struct AttentionForward {
  AttentionShape shape;
  Heads<const T> q, k, v;
  Heads<T> out;
  float* logsumexp = nullptr;  // [heads, rows]
  std::int64_t logsumexp_stride = 0;
};

template <class T>
struct AttentionBackward {
  AttentionShape shape;
  Heads<const T> q, k, v, dout;
  const float* logsumexp = nullptr;
  std::int64_t logsumexp_stride = 0;
  const float* delta = nullptr;  // [heads, rows]: Σ dout · out of each row
  Heads<T> dq, dk, dv;
};

inline constexpr int kMostHeadDim = 256;

/// Multiply-add kernels for any alignment; T is float or __nv_bfloat16.
template <class T>
void plain_attention(cudaStream_t stream, const AttentionForward<T>& call);
template <class T>
void plain_attention_backward(cudaStream_t stream, const AttentionBackward<T>& call);

}  // namespace ferula::cuda
