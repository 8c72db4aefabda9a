// Tiles of multiply-add attention: 256 threads as 16 × 16. Thread (y, x) owns R rows 16 apart and C columns 16 apart of
// a tile of scores [16 R, 16 C], and of sums [16 R, D] the same rows and every 16th group of four columns.
#pragma once

#include "ops/cuda/attention_arguments.hpp"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {

inline constexpr int kTileThreads = 256;
inline constexpr int kSide = 16;
inline constexpr float kLog2e = 1.4426950408889634f;
inline constexpr float kLn2 = 0.6931471805599453f;

/// D is head_dim rounded up, with zeros behind it; four floats apart, so that float4 reads of 16 rows meet no bank
/// twice.
template <int kD, int kR, int kC>
struct TileShape {
  static constexpr int D = kD, R = kR, C = kC;
  static constexpr int rows = kSide * kR, columns = kSide * kC;
  static constexpr int stride = kD + 4;  // of a tile of operands
  static constexpr int score_stride = columns + 1;
  static constexpr int groups = kD / (4 * kSide);  // float4 columns of sums a thread
};

struct TileThread {
  int y = static_cast<int>(threadIdx.x) / kSide, x = static_cast<int>(threadIdx.x) % kSide;
};

/// tile[r][d] = rows [first, first + count) of one head; zeros where there is no row or column.
template <class Shape, class T>
__device__ __forceinline__ void load_operand(const Heads<const T>& from, int head, std::int64_t first, int count,
                                             std::int64_t rows, int head_dim, float* tile) {
  for (int at = static_cast<int>(threadIdx.x); at < count * Shape::D; at += kTileThreads) {
    const int row = at / Shape::D, column = at % Shape::D;
    const bool inside = first + row < rows && column < head_dim;
    tile[row * Shape::stride + column] = inside ? to_float(from.at(first + row, head)[column]) : 0.0f;
  }
}

/// scores[i][j] = left row · right row for the thread's rows and columns.
template <class Shape>
__device__ __forceinline__ void multiply_rows(const float* left, const float* right, const TileThread& me,
                                              float (&scores)[Shape::R][Shape::C]) {
#pragma unroll
  for (int i = 0; i < Shape::R; ++i)
#pragma unroll
    for (int j = 0; j < Shape::C; ++j) scores[i][j] = 0.0f;
#pragma unroll 4
  for (int d = 0; d < Shape::D; d += 4) {
    float4 a[Shape::R];
#pragma unroll
    for (int i = 0; i < Shape::R; ++i)
      a[i] = *reinterpret_cast<const float4*>(left + (me.y + kSide * i) * Shape::stride + d);
#pragma unroll
    for (int j = 0; j < Shape::C; ++j) {
      const float4 b = *reinterpret_cast<const float4*>(right + (me.x + kSide * j) * Shape::stride + d);
#pragma unroll
      for (int i = 0; i < Shape::R; ++i) {
        scores[i][j] = fmaf(a[i].x, b.x, scores[i][j]);
        scores[i][j] = fmaf(a[i].y, b.y, scores[i][j]);
        scores[i][j] = fmaf(a[i].z, b.z, scores[i][j]);
        scores[i][j] = fmaf(a[i].w, b.w, scores[i][j]);
      }
    }
  }
}

template <class Shape>
using TileSums = float[Shape::R][Shape::groups][4];

/// sums += weights [rows, columns] · values [columns, D].
template <class Shape>
__device__ __forceinline__ void add_weighted(const float* weights, const float* values, const TileThread& me,
                                             TileSums<Shape>& sums) {
#pragma unroll 4
  for (int key = 0; key < Shape::columns; ++key) {
    float weight[Shape::R];
#pragma unroll
    for (int i = 0; i < Shape::R; ++i) weight[i] = weights[(me.y + kSide * i) * Shape::score_stride + key];
#pragma unroll
    for (int g = 0; g < Shape::groups; ++g) {
      const float4 value = *reinterpret_cast<const float4*>(values + key * Shape::stride + 4 * (me.x + kSide * g));
#pragma unroll
      for (int i = 0; i < Shape::R; ++i) {
        sums[i][g][0] = fmaf(weight[i], value.x, sums[i][g][0]);
        sums[i][g][1] = fmaf(weight[i], value.y, sums[i][g][1]);
        sums[i][g][2] = fmaf(weight[i], value.z, sums[i][g][2]);
        sums[i][g][3] = fmaf(weight[i], value.w, sums[i][g][3]);
      }
    }
  }
}

/// The thread's scores into a shared tile.
template <class Shape>
__device__ __forceinline__ void put_scores(const float (&scores)[Shape::R][Shape::C], const TileThread& me,
                                           float* tile) {
#pragma unroll
  for (int i = 0; i < Shape::R; ++i)
#pragma unroll
    for (int j = 0; j < Shape::C; ++j) tile[(me.y + kSide * i) * Shape::score_stride + me.x + kSide * j] = scores[i][j];
}

/// Row `i` of the sums, times `factor`, to memory.
template <class Shape, class T>
__device__ __forceinline__ void put_row(const float (&sums)[Shape::groups][4], float factor, const TileThread& me,
                                        int head_dim, T* to) {
#pragma unroll
  for (int g = 0; g < Shape::groups; ++g)
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const int column = 4 * (me.x + kSide * g) + c;
      if (column < head_dim) to[column] = from_float<T>(factor * sums[g][c]);
    }
}

/// Over the 16 threads that share a row.
__device__ __forceinline__ float row_max(float value) {
#pragma unroll
  for (int step = kSide / 2; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, step));
  return value;
}
__device__ __forceinline__ float row_sum(float value) {
#pragma unroll
  for (int step = kSide / 2; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

/// Lets a kernel take more dynamic shared memory than the 48 KiB that every GPU gives without being asked.
template <class Kernel>
void allow_shared(Kernel kernel, std::size_t bytes) {
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
             "cudaFuncSetAttribute");
}

}  // namespace ferula::cuda
