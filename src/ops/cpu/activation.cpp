// GELU and SwiGLU with their gradients, as Highway kernels over pieces of rows.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/activation.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include "ops/cpu/activation.hpp"
#include "hwy/contrib/math/math-inl.h"
#include "ops/cpu/parallel.hpp"
#include "ops/cpu/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

constexpr float kTwiceGeluScale = 1.5957691216057308f;  // 2 √(2/π)
constexpr float kGeluCubic = 0.044715f;

/// σ(x) and 1 − σ(x), each with a relative error of a few units in the last place.
struct Sigmoid {
  Floats value;
  Floats complement;
};

/// σ(x) = 1 / (1 + e^−x). It is 0 below −87, where e^−x leaves f32; a NaN gives a NaN.
HWY_INLINE Sigmoid sigmoid(Floats x) {
  const Floats limit = hn::Set(kFloat, 87.0f);
  const Floats exponential = hn::Exp(kFloat, hn::Min(hn::Neg(x), limit));
  const Floats inverse = hn::Div(hn::Set(kFloat, 1.0f), hn::Add(exponential, hn::Set(kFloat, 1.0f)));
  const Floats bounded = hn::IfThenZeroElse(hn::Lt(x, hn::Neg(limit)), inverse);
  return {hn::IfThenElse(hn::IsNaN(x), x, bounded), hn::Mul(exponential, inverse)};
}

/// σ(2u) = 0.5 (1 + tanh u), with u = √(2/π) (x + 0.044715 x³).
HWY_INLINE Sigmoid gelu_gate(Floats x) {
  const Floats cubic = hn::MulAdd(hn::Mul(x, x), hn::Set(kFloat, kGeluCubic), hn::Set(kFloat, 1.0f));
  return sigmoid(hn::Mul(hn::Mul(x, hn::Set(kFloat, kTwiceGeluScale)), cubic));
}

/// d gelu / dx = σ + x · σ (1 − σ) · 2u′; the second term is 0 beyond |x| = 16, where x³ could overflow.
HWY_INLINE Floats gelu_slope(Floats x) {
  const Sigmoid gate = gelu_gate(x);
  const Floats square = hn::Mul(x, x);
  const Floats inner = hn::Mul(hn::MulAdd(square, hn::Set(kFloat, 3 * kGeluCubic), hn::Set(kFloat, 1.0f)),
                               hn::Set(kFloat, kTwiceGeluScale));
  const Floats bend = hn::Mul(hn::Mul(x, inner), hn::Mul(gate.value, gate.complement));
  return hn::Add(gate.value, hn::IfThenZeroElse(hn::Gt(hn::Abs(x), hn::Set(kFloat, 16.0f)), bend));
}

template <class T>
void gelu_rows(TensorView x, TensorView y) {
  for (std::int64_t row = 0; row < x.dim(0); ++row) {
    const T* in = row_of<T>(x, row);
    T* out = row_of<T>(y, row);
    sweep(x.dim(1), [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
      const Floats value = load(in + at, lanes);
      store(hn::Mul(value, gelu_gate(value).value), out + at, lanes);
    });
  }
}

template <class T>
void gelu_backward_rows(TensorView x, TensorView dy, TensorView dx) {
  for (std::int64_t row = 0; row < x.dim(0); ++row) {
    const T* in = row_of<T>(x, row);
    const T* upstream = row_of<T>(dy, row);
    T* out = row_of<T>(dx, row);
    sweep(x.dim(1), [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
      store(hn::Mul(load(upstream + at, lanes), gelu_slope(load(in + at, lanes))), out + at, lanes);
    });
  }
}

template <class T>
void swiglu_rows(TensorView gate_up, TensorView y) {
  const std::int64_t width = y.dim(1);
  for (std::int64_t row = 0; row < y.dim(0); ++row) {
    const T* gate = row_of<T>(gate_up, row);
    const T* up = gate + width;
    T* out = row_of<T>(y, row);
    sweep(width, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
      const Floats value = load(gate + at, lanes);
      store(hn::Mul(hn::Mul(value, sigmoid(value).value), load(up + at, lanes)), out + at, lanes);
    });
  }
}

template <class T>
void swiglu_backward_rows(TensorView gate_up, TensorView dy, TensorView dgate_up) {
  const std::int64_t width = dy.dim(1);
  for (std::int64_t row = 0; row < dy.dim(0); ++row) {
    const T* in = row_of<T>(gate_up, row);
    const T* upstream = row_of<T>(dy, row);
    T* out = row_of<T>(dgate_up, row);
    sweep(width, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
      const Floats gate = load(in + at, lanes);
      const Floats up = load(in + width + at, lanes);
      const Floats gradient = load(upstream + at, lanes);
      const Sigmoid s = sigmoid(gate);
      const Floats slope = hn::Mul(s.value, hn::MulAdd(gate, s.complement, hn::Set(kFloat, 1.0f)));
      store(hn::Mul(hn::Mul(gradient, up), slope), out + at, lanes);
      store(hn::Mul(gradient, hn::Mul(gate, s.value)), out + width + at, lanes);
    });
  }
}

void gelu_piece(TensorView x, TensorView y) { x.dtype == DType::bf16 ? gelu_rows<bf16>(x, y) : gelu_rows<float>(x, y); }

void gelu_backward_piece(TensorView x, TensorView dy, TensorView dx) {
  x.dtype == DType::bf16 ? gelu_backward_rows<bf16>(x, dy, dx) : gelu_backward_rows<float>(x, dy, dx);
}

void swiglu_piece(TensorView gate_up, TensorView y) {
  y.dtype == DType::bf16 ? swiglu_rows<bf16>(gate_up, y) : swiglu_rows<float>(gate_up, y);
}

void swiglu_backward_piece(TensorView gate_up, TensorView dy, TensorView dgate_up) {
  dy.dtype == DType::bf16 ? swiglu_backward_rows<bf16>(gate_up, dy, dgate_up)
                          : swiglu_backward_rows<float>(gate_up, dy, dgate_up);
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(gelu_piece);
HWY_EXPORT(gelu_backward_piece);
HWY_EXPORT(swiglu_piece);
HWY_EXPORT(swiglu_backward_piece);

void check_gate_up(const TensorView& gate_up, const TensorView& y) {
  check_compute_type(gate_up, y);
  FERULA_CHECK(gate_up.dim(0) == y.dim(0) && gate_up.dim(1) == 2 * y.dim(1), "gate_up [{}, {}] for [{}, {}]",
               gate_up.dim(0), gate_up.dim(1), y.dim(0), y.dim(1));
}

}  // namespace

void gelu(TensorView x, TensorView y) {
  check_compute_type(x, y);
  parallel_pieces<2>({x, y}, [](const auto& piece) { HWY_DYNAMIC_DISPATCH(gelu_piece)(piece[0], piece[1]); });
}

void gelu_backward(TensorView x, TensorView dy, TensorView dx) {
  check_compute_type(x, dy, dx);
  parallel_pieces<3>({x, dy, dx}, [](const auto& piece) {
    HWY_DYNAMIC_DISPATCH(gelu_backward_piece)(piece[0], piece[1], piece[2]);
  });
}

void swiglu(TensorView gate_up, TensorView y) {
  check_gate_up(gate_up, y);
  parallel_ranges(y.dim(0), rows_per_piece(y.dim(1)), [&](std::int64_t begin, std::int64_t rows) {
    HWY_DYNAMIC_DISPATCH(swiglu_piece)(gate_up.rows(begin, rows), y.rows(begin, rows));
  });
}

void swiglu_backward(TensorView gate_up, TensorView dy, TensorView dgate_up) {
  check_gate_up(gate_up, dy);
  check_gate_up(dgate_up, dy);
  parallel_ranges(dy.dim(0), rows_per_piece(dy.dim(1)), [&](std::int64_t begin, std::int64_t rows) {
    HWY_DYNAMIC_DISPATCH(swiglu_backward_piece)
    (gate_up.rows(begin, rows), dy.rows(begin, rows), dgate_up.rows(begin, rows));
  });
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
