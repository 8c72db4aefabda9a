// Small matrix products, transposes and exponentials over tiles of attention; compiled once for each instruction set.
#if defined(FERULA_OPS_CPU_ATTENTION_KERNELS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef FERULA_OPS_CPU_ATTENTION_KERNELS_INL_HPP
#undef FERULA_OPS_CPU_ATTENTION_KERNELS_INL_HPP
#else
#define FERULA_OPS_CPU_ATTENTION_KERNELS_INL_HPP
#endif

#include <algorithm>

#include "ops/cpu/attention_arithmetic-inl.hpp"
#include "ops/cpu/attention_tile.hpp"
#include "ops/cpu/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

/// How the left matrix of a product lies in memory: left(row, k), or left(k, row).
enum class Left { by_rows, by_columns };
/// What a product does with the old result: nothing, adds to it, or adds to it times a factor a row.
enum class Result { overwrite, add, rescale };

/// result [kRows, kVectors · lanes] = left [kRows, depth] · right [depth, kVectors · lanes], sums in registers.
template <class Words, Left kLeft, Result kResult, int kRows, int kVectors>
HWY_INLINE void multiply_block(Panel left, Panel right, Panel result, std::int64_t depth, const float* factors) {
  Floats sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sums[row][v] = hn::Zero(kFloat);
  const std::int64_t row_step = kLeft == Left::by_rows ? left.stride : 1;
  const std::int64_t depth_step = kLeft == Left::by_rows ? 1 : left.stride;
  const float* from_left = left.data;
  const float* from_right = right.data;
  for (std::int64_t k = 0; k < depth; ++k, from_left += depth_step, from_right += right.stride) {
    Floats columns[kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) columns[v] = hn::LoadU(kFloat, from_right + v * kLanes);
#pragma GCC unroll 16
    for (int row = 0; row < kRows; ++row) {
      const Floats factor = hn::Set(kFloat, from_left[row * row_step]);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) sums[row][v] = Words::multiply_add(factor, columns[v], sums[row][v]);
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      float* to = result.row(row) + v * kLanes;
      Floats sum = sums[row][v];
      if constexpr (kResult == Result::add) sum = hn::Add(hn::LoadU(kFloat, to), sum);
      if constexpr (kResult == Result::rescale)
        sum = hn::MulAdd(hn::LoadU(kFloat, to), hn::Set(kFloat, factors[row]), sum);
      hn::StoreU(sum, kFloat, to);
    }
}

template <class Words, Left kLeft, Result kResult, int kVectors>
HWY_INLINE void multiply_columns(Panel left, Panel right, Panel result, std::int64_t rows, std::int64_t depth,
                                 const float* factors) {
  constexpr int kRows = kVectors >= 3 || (kLanes < 16 && kVectors == 2) ? 4 : 8;
  for (std::int64_t row = 0; row < rows; row += kRows)
    multiply_block<Words, kLeft, kResult, kRows, kVectors>(kLeft == Left::by_rows ? left.at(row, 0) : left.at(0, row),
                                                           right, result.at(row, 0), depth,
                                                           kResult == Result::rescale ? factors + row : nullptr);
}

/// result [rows, columns] from left and right [depth, columns], `depth` in words. `rows` is a multiple of 8, `columns`
/// of 16. `factors` [rows] is read for Result::rescale only.
template <class Words, Left kLeft, Result kResult>
HWY_INLINE void multiply(Panel left, Panel right, Panel result, std::int64_t rows, std::int64_t columns,
                         std::int64_t depth, const float* factors = nullptr) {
  constexpr std::int64_t kMost = kLanes == 16 ? 4 : 2;  // vectors a block: as many as the registers hold
  for (std::int64_t column = 0; column < columns;) {
    const std::int64_t vectors = (columns - column) / kLanes;
    const std::int64_t chunk = kMost == 4 && vectors == 5 ? 3 : std::min(kMost, vectors);  // 3 + 2 beats 4 + 1
    const Panel from = right.at(0, column);
    const Panel to = result.at(0, column);
    if constexpr (kMost == 4) {
      if (chunk == 4) multiply_columns<Words, kLeft, kResult, 4>(left, from, to, rows, depth, factors);
      if (chunk == 3) multiply_columns<Words, kLeft, kResult, 3>(left, from, to, rows, depth, factors);
    }
    if (chunk == 2) multiply_columns<Words, kLeft, kResult, 2>(left, from, to, rows, depth, factors);
    if (chunk == 1) multiply_columns<Words, kLeft, kResult, 1>(left, from, to, rows, depth, factors);
    column += chunk * kLanes;
  }
}

/// 2^x for x ≤ 126 with a relative error below 2e-7; exactly 0 from x = −127 downwards; a NaN stays one.
HWY_INLINE Floats exp2(Floats x) {
  const hn::RebindToUnsigned<FloatTag> bits;
  // Adding 1.5 · 2^23 rounds to an integer in the lowest bits; 127 more make it the exponent field of 2^integer.
  const Floats rounding = hn::Set(kFloat, 12582912.0f + 127.0f);
  const Floats bounded = hn::Max(hn::Set(kFloat, -127.0f), x);  // x86 gives the second operand for a NaN
  const Floats rounded = hn::Add(bounded, rounding);
  const Floats rest = hn::Sub(bounded, hn::Sub(rounded, rounding));
  // The minimax polynomial of degree 5 of 2^rest on [−1/2, 1/2] (Remez) that is 1 at 0: relative error 9e-8.
  Floats power = hn::MulAdd(hn::Set(kFloat, 0.00132646982f), rest, hn::Set(kFloat, 0.00967151485f));
  power = hn::MulAdd(power, rest, hn::Set(kFloat, 0.0555073395f));
  power = hn::MulAdd(power, rest, hn::Set(kFloat, 0.240222424f));
  power = hn::MulAdd(power, rest, hn::Set(kFloat, 0.693147004f));
  power = hn::MulAdd(power, rest, hn::Set(kFloat, 1.0f));
  const Floats scale = hn::BitCast(kFloat, hn::ShiftLeft<23>(hn::BitCast(bits, rounded)));  // 0 for −127
  return hn::Mul(power, scale);
}

/// 1 where key `key` of a block may be seen by the queries `column`, `column` + 1, …, both counted from one origin.
HWY_INLINE auto visible(std::int64_t key, std::int64_t column) {
  return hn::Ge(hn::Iota(kFloat, static_cast<float>(column)), hn::Set(kFloat, static_cast<float>(key)));
}

#if HWY_TARGET == HWY_SCALAR
/// to [4, 4] = fromᵀ.
HWY_INLINE void transpose_block(Panel from, Panel to) {
  for (std::int64_t row = 0; row < 4; ++row)
    for (std::int64_t column = 0; column < 4; ++column) to.row(row)[column] = from.row(column)[row];
}
#else
/// to [4, 4] = fromᵀ.
HWY_INLINE void transpose_block(Panel from, Panel to) {
  const hn::FixedTag<float, 4> four;
  const hn::RepartitionToWide<decltype(four)> pairs;
  const auto a = hn::LoadU(four, from.row(0)), b = hn::LoadU(four, from.row(1));
  const auto c = hn::LoadU(four, from.row(2)), d = hn::LoadU(four, from.row(3));
  const auto ab_low = hn::BitCast(pairs, hn::InterleaveLower(four, a, b));
  const auto ab_high = hn::BitCast(pairs, hn::InterleaveUpper(four, a, b));
  const auto cd_low = hn::BitCast(pairs, hn::InterleaveLower(four, c, d));
  const auto cd_high = hn::BitCast(pairs, hn::InterleaveUpper(four, c, d));
  hn::StoreU(hn::BitCast(four, hn::InterleaveLower(pairs, ab_low, cd_low)), four, to.row(0));
  hn::StoreU(hn::BitCast(four, hn::InterleaveUpper(pairs, ab_low, cd_low)), four, to.row(1));
  hn::StoreU(hn::BitCast(four, hn::InterleaveLower(pairs, ab_high, cd_high)), four, to.row(2));
  hn::StoreU(hn::BitCast(four, hn::InterleaveUpper(pairs, ab_high, cd_high)), four, to.row(3));
}
#endif

/// to [rows, columns] = fromᵀ; both are multiples of 4.
HWY_INLINE void transpose(Panel from, Panel to, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t row = 0; row < rows; row += 4)
    for (std::int64_t column = 0; column < columns; column += 4)
      transpose_block(from.at(column, row), to.at(row, column));
}

template <class T>
HWY_INLINE void store_rows_of(Panel from, const TensorView& to, float scale) {
  const Floats factor = hn::Set(kFloat, scale);
  for (std::int64_t row = 0; row < to.dim(0); ++row) {
    const float* source = from.row(row);
    T* target = row_of<T>(to, row);
    sweep(to.dim(1), [&](std::int64_t at, std::int64_t lanes)
                         HWY_ATTR { store(hn::Mul(hn::LoadU(kFloat, source + at), factor), target + at, lanes); });
  }
}

/// to [count, head_dim] = scale · from, rounded to its type.
HWY_INLINE void store_rows(Panel from, const TensorView& to, float scale = 1.0f) {
  to.dtype == DType::bf16 ? store_rows_of<bf16>(from, to, scale) : store_rows_of<float>(from, to, scale);
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // FERULA_OPS_CPU_ATTENTION_KERNELS_INL_HPP
