// Rotary position embedding: a block takes sines and cosines of some rows once, then turns all of their heads.
// Angles are reduced to a quarter turn in f64, as on the CPU, so that large positions stay exact.
#include <cmath>

#include "ops/cuda/fast_divide.hpp"
#include "ops/cuda/instructions.cuh"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/rotary.hpp"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kMostRowsOfBlock = 16;  // positions may lie in host memory: a block reads several of them at once
constexpr int kPiecesAtOnce = 4;      // of a thread: it asks for so many before it looks at the first
constexpr int kMostPairs = 256;

/// theta^(−2i/head_dim) for each pair i, negated for the backward rotation.
struct Frequencies {
  double of_pair[kMostPairs];
};

/// sin(r) and cos(r) for |r| ≤ π/4 by the minimax polynomials (Remez) of the CPU backend: errors of 3e-9 and 6e-11.
__device__ __forceinline__ float2 sine_cosine_near_zero(float r) {
  const float square = r * r;
  float s = fmaf(-0.00019501822f, square, 0.00833201688f);
  s = fmaf(s, square, -0.166666508f);
  float c = fmaf(2.4372679e-05f, square, -0.00138865295f);
  c = fmaf(c, square, 0.041666612f);
  c = fmaf(c, square, -0.5f);
  return make_float2(fmaf(s * square, r, r), fmaf(c, square, 1.0f));
}

/// sin and cos of position · frequency. Cody and Waite: π/2 in two parts, of which the first has 21 bits.
__device__ __forceinline__ float2 sine_cosine(std::int32_t position, double frequency) {
  constexpr double kTwoOverPi = 0.6366197723675814;
  constexpr double kHalfPiHigh = 0x1.921fbp+0;
  constexpr double kHalfPiLow = 3.139164786504813e-07;
  const double angle = position * frequency;
  const double turns = rint(angle * kTwoOverPi);
  const auto rest = static_cast<float>(fma(-turns, kHalfPiLow, fma(-turns, kHalfPiHigh, angle)));
  const auto quadrant = static_cast<unsigned>(static_cast<long long>(turns));
  const float2 near = sine_cosine_near_zero(rest);
  const float2 turned = (quadrant & 1u) != 0 ? make_float2(near.y, -near.x) : near;
  return (quadrant & 2u) != 0 ? make_float2(-turned.x, -turned.y) : turned;
}

/// The tensor as pieces of V pairs: `per_head` of a head, `per_row` of a row.
template <class T>
struct RotaryRows {
  T* x;
  std::int64_t row_stride, head_stride, rows;
  int block_rows, half;
  FastDivide per_row, per_head;
  const std::int32_t* position;
};

/// turns [rows of the block, half]: sine, cosine.
template <class T>
__device__ __forceinline__ void take_turns(const RotaryRows<T>& views, const Frequencies& frequencies,
                                           std::int64_t first, int count, float2* turns) {
  __shared__ std::int32_t places[kMostRowsOfBlock];
  if (static_cast<int>(threadIdx.x) < count) places[threadIdx.x] = views.position[first + threadIdx.x];
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < count * views.half; at += kThreads)
    turns[at] = sine_cosine(places[at / views.half], frequencies.of_pair[at % views.half]);
  __syncthreads();
}

template <int V, class T>
__global__ void __launch_bounds__(kThreads)
    rotary_kernel(RotaryRows<T> views, const __grid_constant__ Frequencies frequencies) {
  await_previous_kernel();
  auto* turns = dynamic_shared<float2>();
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * views.block_rows;
  const auto count = static_cast<int>(min(static_cast<std::int64_t>(views.block_rows), views.rows - first));
  const unsigned pieces = static_cast<unsigned>(count) * views.per_row.divisor;
  for (unsigned begin = 0; begin < pieces; begin += kPiecesAtOnce * kThreads) {
    Raw<T, V> one[kPiecesAtOnce], two[kPiecesAtOnce];
    T* place[kPiecesAtOnce];
    int turn_at[kPiecesAtOnce];
#pragma unroll
    for (int each = 0; each < kPiecesAtOnce; ++each) {
      const unsigned at = begin + static_cast<unsigned>(each) * kThreads + threadIdx.x;
      const unsigned row = views.per_row.quotient(at), in_row = at - row * views.per_row.divisor;
      const unsigned head = views.per_head.quotient(in_row);
      const auto pair = static_cast<int>(in_row - head * views.per_head.divisor) * V;
      turn_at[each] = static_cast<int>(row) * views.half + pair;
      place[each] =
          at < pieces ? views.x + (first + row) * views.row_stride + head * views.head_stride + pair : nullptr;
      if (place[each] == nullptr) continue;
      one[each] = load_raw<V>(place[each]);
      two[each] = load_raw<V>(place[each] + views.half);
    }
    if (begin == 0) take_turns(views, frequencies, first, count, turns);  // while the first pieces are on their way
#pragma unroll
    for (int each = 0; each < kPiecesAtOnce; ++each) {
      if (place[each] == nullptr) continue;
      float left[V], right[V];
#pragma unroll
      for (int i = 0; i < V; ++i) {
        const float2 turn = turns[turn_at[each] + i];
        const float a = one[each].at(i), b = two[each].at(i);
        left[i] = fmaf(-b, turn.x, a * turn.y);
        right[i] = fmaf(a, turn.x, b * turn.y);
      }
      store<V>(left, place[each]);
      store<V>(right, place[each] + views.half);
    }
  }
}

Frequencies frequencies_of(float theta, std::int64_t head_dim, RotaryDirection direction) {
  Frequencies frequencies{};
  const double sign = direction == RotaryDirection::forward ? 1.0 : -1.0;
  for (std::int64_t i = 0; i < head_dim / 2; ++i)
    frequencies.of_pair[i] =
        sign * std::pow(static_cast<double>(theta), -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
  return frequencies;
}

}  // namespace

void rotary(cudaStream_t stream, TensorView x, TensorView position, float theta, RotaryDirection direction) {
  check_compute_type(x);
  if (x.empty()) return;
  FERULA_CHECK(x.rank == 3 && x.dim(2) % 2 == 0 && x.dim(2) <= 2 * kMostPairs && x.stride(2) == 1,
               "rotary wants [rows, heads, even head_dim of at most {}], found head_dim {}", 2 * kMostPairs, x.dim(2));
  FERULA_CHECK(position.count() == x.dim(0), "{} positions for {} rows", position.count(), x.dim(0));
  const Frequencies frequencies = frequencies_of(theta, x.dim(2), direction);
  with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int kWide = 16 / static_cast<int>(sizeof(T));
    const auto half = static_cast<int>(x.dim(2) / 2);
    const bool wide = half % kWide == 0 && rows_aligned(x, 16) && x.stride(1) % kWide == 0;
    const auto launch = [&](auto v) {
      const std::int64_t per_head = half / v.value, per_row = x.dim(1) * per_head;
      const auto block_rows = std::clamp<std::int64_t>(kPiecesAtOnce * kThreads / per_row, 1, kMostRowsOfBlock);
      const RotaryRows<T> views{.x = elements<T>(x),
                                .row_stride = x.stride(0),
                                .head_stride = x.stride(1),
                                .rows = x.dim(0),
                                .block_rows = static_cast<int>(block_rows),
                                .half = half,
                                .per_row = fast_divide_by(per_row),
                                .per_head = fast_divide_by(per_head),
                                .position = elements<const std::int32_t>(position)};
      const auto shared = static_cast<std::size_t>(block_rows * half) * sizeof(float2);
      launch_kernel({stream, blocks_for(x.dim(0), block_rows), kThreads, shared}, "rotary", rotary_kernel<v.value, T>,
                    views, frequencies);
    };
    wide ? launch(std::integral_constant<int, kWide>{}) : launch(std::integral_constant<int, 1>{});
  });
}

}  // namespace ferula::cuda
