// GELU and SwiGLU with their gradients, one sweep over memory each.
#include "ops/cuda/activation.hpp"
#include "ops/cuda/pointwise.cuh"
#include "ops/cuda/previous_kernel.cuh"

namespace ferula::cuda {
namespace {

constexpr float kTwiceGeluScale = 1.5957691216057308f;  // 2 √(2/π)
constexpr float kGeluCubic = 0.044715f;

/// σ(x) and 1 − σ(x). The exponential is kept finite: below −87 σ is 1e-38 instead of less.
struct Sigmoid {
  float value, complement;
};

__device__ __forceinline__ Sigmoid sigmoid(float x) {
  const float exponential = __expf(-x > 87.0f ? 87.0f : -x);  // a NaN stays one
  const float inverse = __fdividef(1.0f, 1.0f + exponential);
  return {inverse, exponential * inverse};
}

/// σ(2u) = 0.5 (1 + tanh u), with u = √(2/π) (x + 0.044715 x³).
__device__ __forceinline__ Sigmoid gelu_gate(float x) {
  return sigmoid(x * kTwiceGeluScale * fmaf(x * x, kGeluCubic, 1.0f));
}

struct Gelu {
  __device__ float operator()(float x) const { return x < -16.0f ? 0.0f : x * gelu_gate(x).value; }
};

/// d gelu / dx = σ + x · σ (1 − σ) · 2u′; the second term is 0 beyond |x| = 16, where x³ could overflow.
struct GeluBackward {
  __device__ float operator()(float x, float dy) const {
    const Sigmoid gate = gelu_gate(x);
    const float inner = fmaf(x * x, 3 * kGeluCubic, 1.0f) * kTwiceGeluScale;
    const float bend = fabsf(x) > 16.0f ? 0.0f : x * inner * (gate.value * gate.complement);
    return dy * (gate.value + bend);
  }
};

struct Swiglu {
  __device__ float operator()(float gate, float up) const { return gate * sigmoid(gate).value * up; }
};

template <int V, class T>
__global__ void __launch_bounds__(kPointwiseThreads)
    swiglu_backward_kernel(std::int64_t rows, std::int64_t width, Rows<const T> gate_up, Rows<const T> dy,
                           Rows<T> dgate_up) {
  await_previous_kernel();
  const Piece piece = piece_at<V>(static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, rows, width);
  if (piece.count == 0) return;
  float gate[V], up[V], upstream[V];
  load_some<V>(gate_up.row(piece.row) + piece.column, piece.count, 0.0f, gate);
  load_some<V>(gate_up.row(piece.row) + width + piece.column, piece.count, 0.0f, up);
  load_some<V>(dy.row(piece.row) + piece.column, piece.count, 0.0f, upstream);
#pragma unroll
  for (int i = 0; i < V; ++i) {
    const Sigmoid s = sigmoid(gate[i]);
    const float slope = s.value * fmaf(gate[i], s.complement, 1.0f);
    const float dgate = upstream[i] * up[i] * slope;
    up[i] = upstream[i] * gate[i] * s.value;
    gate[i] = dgate;
  }
  store_some<V>(gate, piece.count, dgate_up.row(piece.row) + piece.column);
  store_some<V>(up, piece.count, dgate_up.row(piece.row) + width + piece.column);
}

void check_gate_up(const TensorView& gate_up, const TensorView& y) {
  check_compute_type(gate_up, y);
  FERULA_CHECK(gate_up.dim(0) == y.dim(0) && gate_up.dim(1) == 2 * y.dim(1), "gate_up [{}, {}] for [{}, {}]",
               gate_up.dim(0), gate_up.dim(1), y.dim(0), y.dim(1));
}

}  // namespace

void gelu(cudaStream_t stream, TensorView x, TensorView y) {
  check_compute_type(x, y);
  if (x.count() == 0) return;
  const auto [in, out] = as_matrices<2>({x, y});
  with_type(x.dtype, [&, in = in, out = out](auto type) {
    using T = decltype(type);
    pointwise(stream, "gelu", Gelu{}, Typed<T>{out}, Typed<const T>{in});
  });
}

void gelu_backward(cudaStream_t stream, TensorView x, TensorView dy, TensorView dx) {
  check_compute_type(x, dy, dx);
  if (x.count() == 0) return;
  const auto [in, upstream, out] = as_matrices<3>({x, dy, dx});
  with_type(x.dtype, [&, in = in, upstream = upstream, out = out](auto type) {
    using T = decltype(type);
    pointwise(stream, "gelu_backward", GeluBackward{}, Typed<T>{out}, Typed<const T>{in}, Typed<const T>{upstream});
  });
}

void swiglu(cudaStream_t stream, TensorView gate_up, TensorView y) {
  check_gate_up(gate_up, y);
  if (y.count() == 0) return;
  with_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t width = y.dim(1);
    pointwise(stream, "swiglu", Swiglu{}, Typed<T>{y}, Typed<const T>{gate_up.columns(0, width)},
              Typed<const T>{gate_up.columns(width, width)});
  });
}

void swiglu_backward(cudaStream_t stream, TensorView gate_up, TensorView dy, TensorView dgate_up) {
  check_gate_up(gate_up, dy);
  check_gate_up(dgate_up, dy);
  if (dy.count() == 0) return;
  with_type(dy.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int kWide = kPackElements<T>;
    const std::int64_t rows = dy.dim(0), width = dy.dim(1);
    const bool wide =
        width % kWide == 0 && rows_aligned(gate_up, 16) && rows_aligned(dy, 16) && rows_aligned(dgate_up, 16);
    const auto launch = [&](auto elements_per_thread) {
      constexpr int kV = decltype(elements_per_thread)::value;
      const unsigned blocks = blocks_for(rows * ceil_div(width, kV), kPointwiseThreads);
      launch_kernel({stream, blocks, kPointwiseThreads}, "swiglu_backward", swiglu_backward_kernel<kV, T>, rows, width,
                    {elements<const T>(gate_up), gate_up.stride(0)}, {elements<const T>(dy), dy.stride(0)},
                    {elements<T>(dgate_up), dgate_up.stride(0)});
    };
    wide ? launch(std::integral_constant<int, kWide>{}) : launch(std::integral_constant<int, 1>{});
  });
}

}  // namespace ferula::cuda
