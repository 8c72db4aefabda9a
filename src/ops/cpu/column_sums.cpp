// Column sums in stripes of columns, one thread a stripe.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/column_sums.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include "ops/cpu/column_sums.hpp"
#include "ops/cpu/parallel.hpp"
#include "ops/cpu/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

template <class T>
void sum_stripe(TensorView x, float* sums) {
  constexpr std::int64_t kRows = 64;  // a short chain of additions keeps the rounding error small
  for (std::int64_t begin = 0; begin < x.dim(0); begin += kRows) {
    std::array<float, kStripeColumns> partial{};
    for (std::int64_t row = begin; row < std::min(begin + kRows, x.dim(0)); ++row)
      sweep(x.dim(1), [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
        float* sum = partial.data() + at;
        store(hn::Add(load(sum, lanes), load(row_of<T>(x, row) + at, lanes)), sum, lanes);
      });
    sweep(x.dim(1), [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
      store(hn::Add(load(sums + at, lanes), load(partial.data() + at, lanes)), sums + at, lanes);
    });
  }
}

void sum_piece(TensorView x, float* sums) {
  x.dtype == DType::bf16 ? sum_stripe<bf16>(x, sums) : sum_stripe<float>(x, sums);
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(sum_piece);

}  // namespace

void add_column_sums(TensorView x, TensorView sums) {
  check_compute_type(x);
  const std::span<float> totals = sums.span<float>();
  FERULA_CHECK(sums.count() == x.dim(1), "{} sums of {} columns", sums.count(), x.dim(1));
  parallel_ranges(x.dim(1), kStripeColumns, [&](std::int64_t begin, std::int64_t columns) {
    HWY_DYNAMIC_DISPATCH(sum_piece)(x.columns(begin, columns), totals.data() + begin);
  });
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
