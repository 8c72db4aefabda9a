// In what attention multiplies: elements of f32, or pairs of bf16 in words of four bytes, whose products are added in
// f32, two of each word in one instruction. Panels hold words; the depth of a product is counted in words, too.
// "Along rows" a word holds elements that follow each other in a row, "across rows" those of rows that follow each
// other. Included again for each target, after hwy/foreach_target.h.
#if defined(FERULA_OPS_CPU_ATTENTION_ARITHMETIC_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef FERULA_OPS_CPU_ATTENTION_ARITHMETIC_INL_HPP
#undef FERULA_OPS_CPU_ATTENTION_ARITHMETIC_INL_HPP
#else
#define FERULA_OPS_CPU_ATTENTION_ARITHMETIC_INL_HPP
#endif

#include <algorithm>
#include <cstring>

#include "ops/cpu/attention_tile.hpp"
#include "ops/cpu/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

template <class T>
HWY_INLINE void load_rows_of(const TensorView& from, Panel to, float scale) {
  const Floats factor = hn::Set(kFloat, scale);
  for (std::int64_t row = 0; row < from.dim(0); ++row) {
    const T* source = row_of<T>(from, row);
    float* target = to.row(row);
    sweep(from.dim(1), [&](std::int64_t at, std::int64_t lanes)
                           HWY_ATTR { hn::StoreU(hn::Mul(load(source + at, lanes), factor), kFloat, target + at); });
  }
}

/// to [rows, padded width] = scale · from [count, head_dim]; zeros where `from` has no element.
HWY_INLINE void load_rows(const TensorView& from, Panel to, std::int64_t rows, float scale = 1.0f) {
  const std::int64_t width = padded_width(from.dim(1));
  from.dtype == DType::bf16 ? load_rows_of<bf16>(from, to, scale) : load_rows_of<float>(from, to, scale);
  if (from.dim(1) < width)
    for (std::int64_t row = 0; row < from.dim(0); ++row)
      std::fill(to.row(row) + from.dim(1), to.row(row) + width, 0.0f);
  for (std::int64_t row = from.dim(0); row < rows; ++row) std::fill_n(to.row(row), width, 0.0f);
}

/// Words of one element.
struct Singles {
  static constexpr std::int64_t kElements = 1;  // of a word

  /// sum + left · right.
  static HWY_INLINE Floats multiply_add(Floats left, Floats right, Floats sum) { return hn::MulAdd(left, right, sum); }
  /// to [rows, padded width] = scale · from, along rows, as far as the words can hold it: returns by what their
  /// products are still to be multiplied.
  static HWY_INLINE float load_scaled(const TensorView& from, Panel to, std::int64_t rows, float scale) {
    load_rows(from, to, rows, scale);
    return 1.0f;
  }
  /// to [rows, padded width] = from [count, head_dim], along rows; zeros where `from` has no element.
  static HWY_INLINE void load_along(const TensorView& from, Panel to, std::int64_t rows) { load_rows(from, to, rows); }
  /// The same across rows; `rows` is a multiple of kElements.
  static HWY_INLINE void load_across(const TensorView& from, Panel to, std::int64_t rows) {
    load_along(from, to, rows);
  }
  /// Two vectors of elements into a row, from element `column`, a multiple of kElements, on.
  static HWY_INLINE void store_along(Floats first, Floats second, float* row, std::int64_t column) {
    hn::StoreU(first, kFloat, row + column);
    hn::StoreU(second, kFloat, row + column + kLanes);
  }
  /// A vector of elements of row `row`, a multiple of kElements, and one of the next row.
  static HWY_INLINE void store_across(Floats even, Floats odd, Panel to, std::int64_t row, std::int64_t column) {
    hn::StoreU(even, kFloat, to.row(row) + column);
    hn::StoreU(odd, kFloat, to.row(row + 1) + column);
  }
};

#if HWY_TARGET == HWY_AVX3

/// Words of two elements of bf16, which Highway 1.0.3 has no words for. Only where the processor computes bf16; its
/// instructions take numbers below the least normal one for zero.
struct Pairs {
  static constexpr std::int64_t kElements = 2;

  static HWY_INLINE Floats multiply_add(Floats left, Floats right, Floats sum) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(left.raw), "v"(right.raw));
    return sum;
  }
  static HWY_INLINE float load_scaled(const TensorView& from, Panel to, std::int64_t rows, float scale) {
    load_along(from, to, rows);
    return scale;
  }
  static HWY_INLINE void load_along(const TensorView& from, Panel to, std::int64_t rows) {
    const auto bytes = static_cast<std::size_t>(bytes_of(DType::bf16, padded_width(from.dim(1))));
    for (std::int64_t row = 0; row < rows; ++row) {
      auto* const target = reinterpret_cast<std::byte*>(to.row(row));
      const auto there = static_cast<std::size_t>(row < from.dim(0) ? bytes_of(DType::bf16, from.dim(1)) : 0);
      if (there > 0) std::memcpy(target, row_of<bf16>(from, row), there);
      std::memset(target + there, 0, bytes - there);
    }
  }
  static HWY_INLINE void load_across(const TensorView& from, Panel to, std::int64_t rows) {
    const std::int64_t width = padded_width(from.dim(1)), count = from.dim(0);
    for (std::int64_t row = 0; row < rows; row += kElements) {
      float* const target = to.row(row / kElements);
      sweep(from.dim(1), [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
        const Floats even = row < count ? load(row_of<bf16>(from, row) + at, lanes) : hn::Zero(kFloat);
        const Floats odd = row + 1 < count ? load(row_of<bf16>(from, row + 1) + at, lanes) : hn::Zero(kFloat);
        hn::StoreU(word_of(even, odd), kFloat, target + at);
      });
      std::fill(target + round_up(from.dim(1), kLanes), target + width, 0.0f);
    }
  }
  static HWY_INLINE void store_along(Floats first, Floats second, float* row, std::int64_t column) {
    hn::StoreU(rounded(first, second), kFloat, row + column / kElements);
  }
  static HWY_INLINE void store_across(Floats even, Floats odd, Panel to, std::int64_t row, std::int64_t column) {
    alignas(64) static constexpr std::uint16_t kInTurns[] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                             21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                             11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const Floats turns = hn::LoadU(kFloat, reinterpret_cast<const float*>(kInTurns));
    const Floats both = rounded(even, odd);
    Floats words;
    asm("vpermw %1, %2, %0" : "=v"(words.raw) : "v"(both.raw), "v"(turns.raw));
    hn::StoreU(words, kFloat, to.row(row / kElements) + column);
  }

 private:
  /// Words of values that are bf16 already.
  static HWY_INLINE Floats word_of(Floats even, Floats odd) {
    const hn::RebindToUnsigned<FloatTag> bits;
    return hn::BitCast(kFloat, hn::Or(hn::ShiftRight<16>(hn::BitCast(bits, even)), hn::BitCast(bits, odd)));
  }
  /// The elements of `first` and behind them those of `second`, each rounded to the nearest bf16.
  static HWY_INLINE Floats rounded(Floats first, Floats second) {
    Floats both;
    asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(both.raw) : "v"(second.raw), "v"(first.raw));
    return both;
  }
};

#else
using Pairs = Singles;
#endif

/// What a panel holds from element `column` of its rows on, and from row `row` on; multiples of kElements.
template <class Words>
HWY_INLINE Panel along(Panel panel, std::int64_t column) {
  return panel.at(0, column / Words::kElements);
}
template <class Words>
HWY_INLINE Panel across(Panel panel, std::int64_t row) {
  return panel.at(row / Words::kElements, 0);
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // FERULA_OPS_CPU_ATTENTION_ARITHMETIC_INL_HPP
