// Additions, conversions, constants and sums of squares, as Highway kernels over pieces of memory.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/elementwise.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include "ops/cpu/elementwise.hpp"
#include "device/host_processor.hpp"
#include "hwy/cache_control.h"
#include "ops/cpu/parallel.hpp"
#include "ops/cpu/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

template <class X, class Y>
void add_rows(TensorView x, TensorView y) {
  for (std::int64_t row = 0; row < x.dim(0); ++row) {
    X* sum = row_of<X>(x, row);
    const Y* term = row_of<Y>(y, row);
    sweep(x.dim(1), [&](std::int64_t at, std::int64_t lanes)
                        HWY_ATTR { store(hn::Add(load(sum + at, lanes), load(term + at, lanes)), sum + at, lanes); });
  }
}

template <class From, class To>
void convert_rows(TensorView from, TensorView to) {
  for (std::int64_t row = 0; row < from.dim(0); ++row) {
    const From* source = row_of<From>(from, row);
    To* target = row_of<To>(to, row);
    sweep(from.dim(1),
          [&](std::int64_t at, std::int64_t lanes) HWY_ATTR { store(load(source + at, lanes), target + at, lanes); });
  }
}

void add_piece(TensorView x, TensorView y) {
  const bool narrow_term = y.dtype == DType::bf16;
  if (x.dtype == DType::bf16) return narrow_term ? add_rows<bf16, bf16>(x, y) : add_rows<bf16, float>(x, y);
  narrow_term ? add_rows<float, bf16>(x, y) : add_rows<float, float>(x, y);
}

void convert_piece(TensorView from, TensorView to) {
  from.dtype == DType::bf16 ? convert_rows<bf16, float>(from, to) : convert_rows<float, bf16>(from, to);
}

void stream_constant(float* to, std::int64_t count, float value) {
  std::int64_t at = 0;
  for (; at < count && reinterpret_cast<std::uintptr_t>(to + at) % (kLanes * sizeof(float)) != 0; ++at) to[at] = value;
  const Floats all = hn::Set(kFloat, value);
  for (; at + kLanes <= count; at += kLanes) hn::Stream(all, kFloat, to + at);
  for (; at < count; ++at) to[at] = value;
  hwy::FlushStream();  // before another thread hears that it is done
}

/// Σ x² of `count` elements in f64.
double squares_of(const float* x, std::int64_t count) {
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, hn::ScalableTag<double>> half;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(wide));
  auto first = hn::Zero(wide);
  auto second = hn::Zero(wide);
  std::int64_t at = 0;
  for (; at + 2 * lanes <= count; at += 2 * lanes) {
    const auto low = hn::PromoteTo(wide, hn::LoadU(half, x + at));
    const auto high = hn::PromoteTo(wide, hn::LoadU(half, x + at + lanes));
    first = hn::MulAdd(low, low, first);
    second = hn::MulAdd(high, high, second);
  }
  double sum = hn::GetLane(hn::SumOfLanes(wide, hn::Add(first, second)));
  for (; at < count; ++at) sum += static_cast<double>(x[at]) * static_cast<double>(x[at]);
  return sum;
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(add_piece);
HWY_EXPORT(convert_piece);
HWY_EXPORT(squares_of);
HWY_EXPORT(stream_constant);

bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }

void copy_bytes(const TensorView& from, const TensorView& to) {
  const auto row_bytes = static_cast<std::size_t>(from.dim(1) * bytes_of(from.dtype));
  for (std::int64_t row = 0; row < from.dim(0); ++row)
    std::memcpy(row_bytes_of(to, row), row_bytes_of(from, row), row_bytes);
}

}  // namespace

void add(TensorView x, TensorView y) {
  FERULA_CHECK(is_float(x.dtype) && is_float(y.dtype), "cannot add {} to {}", name_of(y.dtype), name_of(x.dtype));
  parallel_pieces<2>({x, y}, [](const auto& piece) { HWY_DYNAMIC_DISPATCH(add_piece)(piece[0], piece[1]); });
}

void copy(TensorView from, TensorView to) {
  if (from.dtype == to.dtype)
    return parallel_pieces<2>({from, to}, [](const auto& piece) { copy_bytes(piece[0], piece[1]); });
  FERULA_CHECK(is_float(from.dtype) && is_float(to.dtype), "no conversion from {} to {}", name_of(from.dtype),
               name_of(to.dtype));
  parallel_pieces<2>({from, to}, [](const auto& piece) { HWY_DYNAMIC_DISPATCH(convert_piece)(piece[0], piece[1]); });
}

void fill(TensorView x, float value) {
  FERULA_CHECK(is_float(x.dtype), "cannot fill {}", name_of(x.dtype));
  const bool streams = x.dtype == DType::f32 && x.bytes() >= kMoreThanCached;
  parallel_pieces<1>({x}, [value, streams](const auto& piece) {
    for (std::int64_t row = 0; row < piece[0].dim(0); ++row) {
      std::byte* begin = row_bytes_of(piece[0], row);
      const std::int64_t width = piece[0].dim(1);
      if (streams)
        HWY_DYNAMIC_DISPATCH(stream_constant)(reinterpret_cast<float*>(begin), width, value);
      else if (piece[0].dtype == DType::f32)
        std::fill_n(reinterpret_cast<float*>(begin), width, value);
      else
        std::fill_n(reinterpret_cast<bf16*>(begin), width, bf16(value));
    }
  });
}

void sum_of_squares(TensorView x, TensorView total) {
  constexpr std::int64_t kBlocks = 1024;  // at most; their size depends on the number of elements only
  const std::span<const float> values = x.span<float>();
  const auto count = static_cast<std::int64_t>(values.size());
  const std::int64_t step = std::max<std::int64_t>(4096, ceil_div(count, kBlocks));
  std::array<double, kBlocks> partial{};
  parallel_ranges(count, step, [&](std::int64_t begin, std::int64_t length) {
    partial[static_cast<std::size_t>(begin / step)] = HWY_DYNAMIC_DISPATCH(squares_of)(values.data() + begin, length);
  });
  double sum = 0.0;
  for (const double block : partial) sum += block;
  *total.as<double>() += sum;
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
