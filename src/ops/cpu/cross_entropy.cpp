// Softmax cross-entropy and its gradient, one row of logits at a time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/cross_entropy.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include <cmath>
#include <limits>
#include <span>

#include "ops/cpu/cross_entropy.hpp"
#include "ops/cpu/parallel.hpp"
#include "ops/cpu/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

/// e^x for x ≤ 0 with a relative error below 2e-7; exactly 0 from x = −88 downwards; a NaN stays one.
HWY_INLINE Floats exp_negative(Floats x) {
  const hn::RebindToUnsigned<FloatTag> bits;
  // Adding 1.5 · 2^23 rounds to an integer in the lowest bits; 127 more make it the exponent field of 2^integer.
  const Floats rounding = hn::Set(kFloat, 12582912.0f + 127.0f);
  const Floats bounded = hn::Max(hn::Set(kFloat, -88.0f), x);  // x86 gives the second operand for a NaN
  const Floats rounded = hn::MulAdd(bounded, hn::Set(kFloat, 1.44269504f), rounding);
  const Floats turns = hn::Sub(rounded, rounding);
  // ln 2 in two parts, the first of 15 bits (Cody, Waite): the reduction is exact to the last bit of `rest`.
  const Floats high = hn::NegMulAdd(turns, hn::Set(kFloat, 0.693145752f), bounded);
  const Floats rest = hn::NegMulAdd(turns, hn::Set(kFloat, 1.42860677e-06f), high);
  // The minimax polynomial of degree 6 of e^rest on [−ln 2 / 2, ln 2 / 2] (Remez), relative error 2e-9.
  Floats power = hn::MulAdd(hn::Set(kFloat, 0.00138368458f), rest, hn::Set(kFloat, 0.00837481581f));
  power = hn::MulAdd(power, rest, hn::Set(kFloat, 0.0416682251f));
  power = hn::MulAdd(power, rest, hn::Set(kFloat, 0.166664198f));
  power = hn::MulAdd(power, rest, hn::Set(kFloat, 0.499999911f));
  power = hn::MulAdd(power, rest, hn::Set(kFloat, 1.0f));
  power = hn::MulAdd(power, rest, hn::Set(kFloat, 1.0f));
  const Floats scale = hn::BitCast(kFloat, hn::ShiftLeft<23>(hn::BitCast(bits, rounded)));  // 0 for −88
  return hn::Mul(power, scale);
}

HWY_INLINE float largest_of(const float* logits, std::int64_t count) {
  const Floats lowest = hn::Set(kFloat, -std::numeric_limits<float>::infinity());
  Floats largest[4] = {lowest, lowest, lowest, lowest};  // four chains hide the latency
  std::int64_t at = 0;
  for (; at + 4 * kLanes <= count; at += 4 * kLanes)
    for (std::int64_t chain = 0; chain < 4; ++chain)
      largest[chain] = hn::Max(largest[chain], hn::LoadU(kFloat, logits + at + chain * kLanes));
  Floats most = hn::Max(hn::Max(largest[0], largest[1]), hn::Max(largest[2], largest[3]));
  float result = hn::GetLane(hn::MaxOfLanes(kFloat, most));
  for (; at < count; ++at) result = std::max(result, logits[at]);
  return result;
}

/// Σ e^(logit − largest): in f32 over short blocks, in f64 over the blocks.
HWY_INLINE double sum_of_exponentials(const float* logits, std::int64_t count, float largest) {
  constexpr std::int64_t kBlock = 1024;
  double sum = 0.0;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    Floats block = hn::Zero(kFloat);
    sweep(std::min(kBlock, count - begin), [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
      const Floats logit = load(logits + begin + at, lanes);
      block = hn::Add(block, first_lanes(exp_negative(hn::Sub(logit, hn::Set(kFloat, largest))), lanes));
    });
    sum += sum_of_lanes(block);
  }
  return sum;
}

/// gradient = factor · e^(logit − largest).
template <class T>
HWY_INLINE void scaled_exponentials(const float* logits, std::int64_t count, float largest, float factor, T* gradient) {
  sweep(count, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
    const Floats logit = load(logits + at, lanes);
    const Floats power = exp_negative(hn::Sub(logit, hn::Set(kFloat, largest)));
    store(hn::Mul(power, hn::Set(kFloat, factor)), gradient + at, lanes);
  });
}

/// The loss of one row; writes its gradient over the vocabulary unless `gradient` is null.
template <class T>
float row_loss(const float* logits, std::int64_t target, std::int64_t vocabulary, float scale, T* gradient) {
  const float largest = largest_of(logits, vocabulary);
  const double sum = sum_of_exponentials(logits, vocabulary, largest);
  const double excess = static_cast<double>(largest) - logits[target];  // before the gradient may overwrite it
  if (gradient != nullptr) {
    const double probability = std::exp(-excess) / sum;
    scaled_exponentials(logits, vocabulary, largest, static_cast<float>(scale / sum), gradient);
    gradient[target] = T(static_cast<float>(scale * (probability - 1.0)));
  }
  return static_cast<float>(std::log(sum) + excess);
}

float row_loss_f32(const float* logits, std::int64_t target, std::int64_t vocabulary, float scale, float* gradient) {
  return row_loss(logits, target, vocabulary, scale, gradient);
}

float row_loss_bf16(const float* logits, std::int64_t target, std::int64_t vocabulary, float scale, bf16* gradient) {
  return row_loss(logits, target, vocabulary, scale, gradient);
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(row_loss_f32);
HWY_EXPORT(row_loss_bf16);

/// Zeroes the columns [begin, columns) of one row of the gradient.
void clear_columns(const TensorView& row, std::int64_t begin) {
  const std::int64_t bytes = (row.dim(1) - begin) * bytes_of(row.dtype);
  std::memset(row.data + begin * bytes_of(row.dtype), 0, static_cast<std::size_t>(bytes));
}

float loss_of(const TensorView& logits, std::int64_t target, std::int64_t vocabulary, float scale,
              const TensorView& gradient) {
  if (gradient.dtype == DType::bf16)
    return HWY_DYNAMIC_DISPATCH(row_loss_bf16)(logits.as<float>(), target, vocabulary, scale, gradient.as<bf16>());
  return HWY_DYNAMIC_DISPATCH(row_loss_f32)(logits.as<float>(), target, vocabulary, scale, gradient.as<float>());
}

}  // namespace

void cross_entropy(TensorView logits, TensorView target, std::int64_t vocabulary, float scale, TensorView losses,
                   TensorView dlogits) {
  if (logits.empty()) return;
  FERULA_CHECK(logits.rank == 2 && vocabulary >= 1 && vocabulary <= logits.dim(1), "a vocabulary of {} in {} columns",
               vocabulary, logits.dim(1));
  FERULA_CHECK(logits.stride(1) == 1 && (dlogits.empty() || dlogits.stride(1) == 1), "columns do not lie together");
  const std::span<const std::int32_t> targets = target.span<std::int32_t>();
  const std::span<float> results = losses.span<float>();
  FERULA_CHECK(targets.size() == results.size() && std::cmp_equal(targets.size(), logits.dim(0)),
               "{} targets and {} losses for {} rows", targets.size(), results.size(), logits.dim(0));
  for (const std::int32_t each : targets)
    FERULA_CHECK(each < vocabulary, "target {} beyond a vocabulary of {}", each, vocabulary);
  parallel_for(logits.dim(0), [&](std::int64_t row) {
    const auto at = static_cast<std::size_t>(row);
    const bool counts = targets[at] >= 0;
    const TensorView gradient = dlogits.empty() ? TensorView() : dlogits.rows(row, 1);
    results[at] = counts ? loss_of(logits.rows(row, 1), targets[at], vocabulary, scale, gradient) : 0.0f;
    if (!gradient.empty()) clear_columns(gradient, counts ? vocabulary : 0);
  });
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
