// Rotary position embedding: a block takes sines and cosines of some rows once, then turns all of their heads.
// Angles are reduced to a quarter turn in f64, as on the CPU, so that large positions stay exact.
#include <cmath>

#include "ops/cuda/launch.hpp"
#include "ops/cuda/rotary.hpp"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kRowsOfBlock = 16;  // positions may lie in host memory: a block reads many of them at once
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

template <int V, class T>
__global__ void __launch_bounds__(kThreads)
    rotary_kernel(T* x, std::int64_t row_stride, std::int64_t head_stride, std::int64_t rows, int heads, int half,
                  const std::int32_t* position, const __grid_constant__ Frequencies frequencies) {
  extern __shared__ float2 turns[];  // [rows of the block, half]: sine, cosine
  __shared__ std::int32_t places[kRowsOfBlock];
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kRowsOfBlock;
  const int count = static_cast<int>(min(static_cast<std::int64_t>(kRowsOfBlock), rows - first));
  if (static_cast<int>(threadIdx.x) < count) places[threadIdx.x] = position[first + threadIdx.x];
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < count * half; at += kThreads)
    turns[at] = sine_cosine(places[at / half], frequencies.of_pair[at % half]);
  __syncthreads();
  const int chunks = half / V, per_row = heads * chunks;
  for (int at = static_cast<int>(threadIdx.x); at < count * per_row; at += kThreads) {
    const int row = at / per_row, head = at % per_row / chunks, pair = at % chunks * V;
    T* place = x + (first + row) * row_stride + head * head_stride + pair;
    float one[V], two[V];
    load<V>(place, one);
    load<V>(place + half, two);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const float2 turn = turns[row * half + pair + i];
      const float turned = fmaf(-two[i], turn.x, one[i] * turn.y);
      two[i] = fmaf(one[i], turn.x, two[i] * turn.y);
      one[i] = turned;
    }
    store<V>(one, place);
    store<V>(two, place + half);
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
    const auto shared = static_cast<std::size_t>(kRowsOfBlock * half) * sizeof(float2);
    const auto launch = [&](auto v) {
      rotary_kernel<v.value, T><<<blocks_for(x.dim(0), kRowsOfBlock), kThreads, shared, stream>>>(
          elements<T>(x), x.stride(0), x.stride(1), x.dim(0), static_cast<int>(x.dim(1)), half,
          elements<const std::int32_t>(position), frequencies);
    };
    wide ? launch(std::integral_constant<int, kWide>{}) : launch(std::integral_constant<int, 1>{});
  });
  check_launch("rotary");
}

}  // namespace ferula::cuda
