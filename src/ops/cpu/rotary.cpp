// Rotary position embedding: sines and cosines of a row once, then applied to each of its heads.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/rotary.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include <array>
#include <cmath>
#include <span>

#include "ops/cpu/parallel.hpp"
#include "ops/cpu/rotary.hpp"
#include "ops/cpu/rotary_angles.hpp"
#include "ops/cpu/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

/// sin(r) and cos(r) for |r| ≤ π/4 by minimax polynomials (Remez) with relative errors of 3e-9 and 6e-11.
HWY_INLINE void sine_cosine_near_zero(Floats r, Floats& sine, Floats& cosine) {
  const Floats square = hn::Mul(r, r);
  Floats s = hn::MulAdd(hn::Set(kFloat, -0.00019501822f), square, hn::Set(kFloat, 0.00833201688f));
  s = hn::MulAdd(s, square, hn::Set(kFloat, -0.166666508f));
  sine = hn::MulAdd(hn::Mul(s, square), r, r);
  Floats c = hn::MulAdd(hn::Set(kFloat, 2.4372679e-05f), square, hn::Set(kFloat, -0.00138865295f));
  c = hn::MulAdd(c, square, hn::Set(kFloat, 0.041666612f));
  c = hn::MulAdd(c, square, hn::Set(kFloat, -0.5f));
  cosine = hn::MulAdd(c, square, hn::Set(kFloat, 1.0f));
}

/// Sines and cosines of the reduced angles `rest` + quadrant · π/2 of one row.
HWY_INLINE void sine_cosine(const ReducedAngles& angles, std::int64_t count, float* sines, float* cosines) {
  const hn::RebindToSigned<FloatTag> integers;
  for (std::int64_t i = 0; i < count; i += kLanes) {
    Floats sine, cosine;
    sine_cosine_near_zero(hn::LoadU(kFloat, angles.rest.data() + i), sine, cosine);
    const auto quadrant = hn::LoadU(integers, angles.quadrant.data() + i);
    const auto one = hn::Set(integers, 1), two = hn::Set(integers, 2);
    const auto swapped = hn::RebindMask(kFloat, hn::Eq(hn::And(quadrant, one), one));
    const auto sine_sign = hn::BitCast(kFloat, hn::ShiftLeft<30>(hn::And(quadrant, two)));
    const auto cosine_sign = hn::BitCast(kFloat, hn::ShiftLeft<30>(hn::And(hn::Add(quadrant, one), two)));
    hn::StoreU(hn::Xor(hn::IfThenElse(swapped, cosine, sine), sine_sign), kFloat, sines + i);
    hn::StoreU(hn::Xor(hn::IfThenElse(swapped, sine, cosine), cosine_sign), kFloat, cosines + i);
  }
}

template <class T>
HWY_INLINE void rotate_head(T* head, std::int64_t half, const float* sines, const float* cosines) {
  sweep(half, [&](std::int64_t i, std::int64_t lanes) HWY_ATTR {
    const Floats sine = hn::LoadU(kFloat, sines + i), cosine = hn::LoadU(kFloat, cosines + i);
    const Floats first = load(head + i, lanes), second = load(head + half + i, lanes);
    store(hn::NegMulAdd(second, sine, hn::Mul(first, cosine)), head + i, lanes);
    store(hn::MulAdd(first, sine, hn::Mul(second, cosine)), head + half + i, lanes);
  });
}

/// Rotates all heads of one row, x [1, heads, head_dim].
void rotate_row(const TensorView& x, const ReducedAngles& angles) {
  const std::int64_t half = x.dim(2) / 2;
  alignas(64) std::array<float, kMostPairs> sines;
  alignas(64) std::array<float, kMostPairs> cosines;
  sine_cosine(angles, half, sines.data(), cosines.data());
  for (std::int64_t head = 0; head < x.dim(1); ++head)
    if (x.dtype == DType::bf16)
      rotate_head(x.as<bf16>() + head * x.stride(1), half, sines.data(), cosines.data());
    else
      rotate_head(x.as<float>() + head * x.stride(1), half, sines.data(), cosines.data());
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(rotate_row);

}  // namespace

void rotary(TensorView x, TensorView position, float theta, RotaryDirection direction) {
  if (x.empty()) return;
  FERULA_CHECK(x.rank == 3 && x.dim(2) % 2 == 0 && x.dim(2) <= 2 * kMostPairs && x.stride(2) == 1,
               "rotary wants [rows, heads, even head_dim of at most {}], found head_dim {}", 2 * kMostPairs, x.dim(2));
  const std::span<const std::int32_t> positions = position.span<std::int32_t>();
  FERULA_CHECK(std::cmp_equal(positions.size(), x.dim(0)), "{} positions for {} rows", positions.size(), x.dim(0));
  const auto frequencies = rotary_frequencies(theta, x.dim(2), direction);
  parallel_for(x.dim(0), [&](std::int64_t row) {
    ReducedAngles angles;
    reduce_angles(frequencies, x.dim(2) / 2, positions[static_cast<std::size_t>(row)], angles);
    HWY_DYNAMIC_DISPATCH(rotate_row)(x.rows(row, 1), angles);
  });
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
