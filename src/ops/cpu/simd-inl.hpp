// Vectors of f32 for kernels that Highway compiles once for each instruction set: bf16 is widened when it is loaded and
// rounded to nearest even when it is stored. Included again for each target, after hwy/foreach_target.h.
#if defined(FERULA_OPS_CPU_SIMD_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef FERULA_OPS_CPU_SIMD_INL_HPP
#undef FERULA_OPS_CPU_SIMD_INL_HPP
#else
#define FERULA_OPS_CPU_SIMD_INL_HPP
#endif

#include <array>
#include <cstring>

#include "device/tensor_view.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using Floats = hn::Vec<FloatTag>;
inline constexpr FloatTag kFloat;
inline constexpr std::int64_t kLanes = hn::MaxLanes(FloatTag());

HWY_INLINE Floats load_all(const float* from) { return hn::LoadU(kFloat, from); }

HWY_INLINE Floats load_all(const bf16* from) {
  const hn::RebindToUnsigned<FloatTag> wide;
  const hn::Rebind<std::uint16_t, FloatTag> narrow;
  const auto bits = hn::LoadU(narrow, reinterpret_cast<const std::uint16_t*>(from));
  return hn::BitCast(kFloat, hn::ShiftLeft<16>(hn::PromoteTo(wide, bits)));
}

HWY_INLINE void store_all(Floats value, float* to) { hn::StoreU(value, kFloat, to); }

using HalfTag = hn::Rebind<std::uint16_t, FloatTag>;

/// The bits of bf16 nearest to `value`.
HWY_INLINE hn::Vec<HalfTag> bf16_bits(Floats value) {
  const hn::RebindToUnsigned<FloatTag> wide;
  const hn::RebindToSigned<FloatTag> wide_signed;
  const auto bits = hn::BitCast(wide, value);
  const auto upper = hn::ShiftRight<16>(bits);
  const auto bias = hn::Add(hn::Set(wide, 0x7fff), hn::And(upper, hn::Set(wide, 1)));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, bias));
  const auto quiet_nan = hn::Or(upper, hn::Set(wide, 0x40));
  const auto chosen = hn::IfThenElse(hn::RebindMask(wide, hn::IsNaN(value)), quiet_nan, rounded);
  return hn::DemoteTo(HalfTag(), hn::BitCast(wide_signed, chosen));
}

HWY_INLINE void store_all(Floats value, bf16* to) {
  hn::StoreU(bf16_bits(value), HalfTag(), reinterpret_cast<std::uint16_t*>(to));
}

/// The same past the caches, where `to` is at a multiple of the vector's bytes: the line is not read before.
HWY_INLINE void stream_all(Floats value, bf16* to) {
  hn::Stream(bf16_bits(value), HalfTag(), reinterpret_cast<std::uint16_t*>(to));
}

/// The first `lanes` elements at `from`; zeros behind them.
template <class T>
HWY_INLINE Floats load(const T* from, std::int64_t lanes) {
  if (lanes == kLanes) return load_all(from);
  std::array<T, kLanes> padded{};
  std::memcpy(padded.data(), from, static_cast<std::size_t>(lanes) * sizeof(T));
  return load_all(padded.data());
}

/// Writes the first `lanes` elements of `value`.
template <class T>
HWY_INLINE void store(Floats value, T* to, std::int64_t lanes) {
  if (lanes == kLanes) return store_all(value, to);
  std::array<T, kLanes> padded;
  store_all(value, padded.data());
  std::memcpy(to, padded.data(), static_cast<std::size_t>(lanes) * sizeof(T));
}

/// `value` where the lane is one of the first `lanes`, else zero.
HWY_INLINE Floats first_lanes(Floats value, std::int64_t lanes) {
  return hn::IfThenElseZero(hn::FirstN(kFloat, static_cast<std::size_t>(lanes)), value);
}

HWY_INLINE float sum_of_lanes(Floats value) { return hn::GetLane(hn::SumOfLanes(kFloat, value)); }

/// Calls body(i, lanes) for consecutive vectors of [0, count); all but the last are full.
template <class Body>
HWY_INLINE void sweep(std::int64_t count, const Body& body) {
  std::int64_t index = 0;
  for (; index + kLanes <= count; index += kLanes) body(index, kLanes);
  if (index < count) body(index, count - index);
}

/// Row `row` of a view [rows, width] of T.
template <class T>
HWY_INLINE T* row_of(const TensorView& view, std::int64_t row) {
  return reinterpret_cast<T*>(view.data) + row * view.stride(0);
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // FERULA_OPS_CPU_SIMD_INL_HPP
