// Adam, SGD and Lion, each one pass over a piece of the flat range under one weight decay.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/optimizer.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include <cmath>

#include "device/host_processor.hpp"
#include "hwy/cache_control.h"
#include "ops/cpu/optimizer.hpp"
#include "ops/cpu/optimizer_piece.hpp"
#include "ops/cpu/parallel.hpp"
#include "ops/cpu/simd-inl.hpp"
#include "ops/optimizer_range.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

HWY_INLINE Floats constant(double value) { return hn::Set(kFloat, static_cast<float>(value)); }

/// The new master of `lanes` elements, and its bf16 copy where the model is bf16.
HWY_INLINE void store_value(const OptimizerPiece& piece, Floats master, std::int64_t at, std::int64_t lanes) {
  store(master, piece.master + at, lanes);
  if (piece.value == nullptr) return;
  if (piece.streams_value && lanes == kLanes) return stream_all(master, piece.value + at);
  store(master, piece.value + at, lanes);
}

/// torch.optim.Adam and AdamW: m and v are moving averages of g and g²;
/// master −= lr / correction1 · m / (√v / √correction2 + eps).
void adam(const OptimizerRule& rule, const OptimizerPiece& piece) {
  const Floats beta1 = constant(rule.beta1), complement1 = constant(1.0 - rule.beta1);
  const Floats beta2 = constant(rule.beta2), complement2 = constant(1.0 - rule.beta2);
  const Floats eps = constant(rule.eps), scale = constant(piece.gradient_scale);
  const Floats shrink = constant(rule.decoupled_decay ? 1.0 - piece.lr * piece.weight_decay : 1.0);
  const Floats coupled = constant(rule.decoupled_decay ? 0.0 : piece.weight_decay);
  const Floats step = constant(piece.lr / piece.correction1);
  const Floats root = constant(1.0 / std::sqrt(piece.correction2));
  sweep(piece.count, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
    const Floats master = load(piece.master + at, lanes);
    const Floats gradient = hn::MulAdd(coupled, master, hn::Mul(load(piece.gradient + at, lanes), scale));
    const Floats m = hn::MulAdd(beta1, load(piece.moment1 + at, lanes), hn::Mul(complement1, gradient));
    const Floats v =
        hn::MulAdd(beta2, load(piece.moment2 + at, lanes), hn::Mul(hn::Mul(complement2, gradient), gradient));
    store(m, piece.moment1 + at, lanes);
    store(v, piece.moment2 + at, lanes);
    const Floats denominator = hn::MulAdd(hn::Sqrt(v), root, eps);
    store_value(piece, hn::NegMulAdd(step, hn::Div(m, denominator), hn::Mul(master, shrink)), at, lanes);
  });
}

/// torch.optim.SGD without dampening: the buffer starts as the first gradient, then b = momentum · b + g.
void sgd(const OptimizerRule& rule, const OptimizerPiece& piece) {
  const bool has_momentum = rule.momentum != 0.0f;
  const Floats momentum = constant(rule.momentum);
  const Floats kept = constant(piece.first_step ? 0.0 : rule.momentum);
  const Floats scale = constant(piece.gradient_scale), lr = constant(piece.lr);
  const Floats shrink = constant(rule.decoupled_decay ? 1.0 - piece.lr * piece.weight_decay : 1.0);
  const Floats coupled = constant(rule.decoupled_decay ? 0.0 : piece.weight_decay);
  sweep(piece.count, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
    const Floats master = load(piece.master + at, lanes);
    const Floats gradient = hn::MulAdd(coupled, master, hn::Mul(load(piece.gradient + at, lanes), scale));
    Floats direction = gradient;
    if (has_momentum) {
      const Floats buffer = hn::MulAdd(kept, load(piece.moment1 + at, lanes), gradient);
      store(buffer, piece.moment1 + at, lanes);
      direction = rule.nesterov ? hn::MulAdd(momentum, buffer, gradient) : buffer;
    }
    store_value(piece, hn::NegMulAdd(lr, direction, hn::Mul(master, shrink)), at, lanes);
  });
}

/// The sign of each lane: 0 of 0, NaN of NaN.
HWY_INLINE Floats sign_of(Floats x) {
  const Floats one = hn::Set(kFloat, 1.0f);
  return hn::IfThenElse(hn::Gt(hn::Abs(x), hn::Zero(kFloat)), hn::CopySign(one, x), x);
}

/// Chen et al. 2023, Algorithm 2: master −= lr · (sign(β1 m + (1 − β1) g) + decay · master), m = β2 m + (1 − β2) g.
void lion(const OptimizerRule& rule, const OptimizerPiece& piece) {
  const Floats beta1 = constant(rule.beta1), complement1 = constant(1.0 - rule.beta1);
  const Floats beta2 = constant(rule.beta2), complement2 = constant(1.0 - rule.beta2);
  const Floats scale = constant(piece.gradient_scale), lr = constant(piece.lr);
  const Floats shrink = constant(rule.decoupled_decay ? 1.0 - piece.lr * piece.weight_decay : 1.0);
  const Floats coupled = constant(rule.decoupled_decay ? 0.0 : piece.weight_decay);
  sweep(piece.count, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
    const Floats master = load(piece.master + at, lanes);
    const Floats gradient = hn::MulAdd(coupled, master, hn::Mul(load(piece.gradient + at, lanes), scale));
    const Floats m = load(piece.moment1 + at, lanes);
    const Floats direction = sign_of(hn::MulAdd(beta1, m, hn::Mul(complement1, gradient)));
    store(hn::MulAdd(beta2, m, hn::Mul(complement2, gradient)), piece.moment1 + at, lanes);
    store_value(piece, hn::NegMulAdd(lr, direction, hn::Mul(master, shrink)), at, lanes);
  });
}

void update_piece(const OptimizerRule& rule, const OptimizerPiece& piece) {
  switch (rule.kind) {
    case OptimizerKind::adam:
      adam(rule, piece);
      break;
    case OptimizerKind::sgd:
      sgd(rule, piece);
      break;
    case OptimizerKind::lion:
      lion(rule, piece);
      break;
  }
  if (piece.streams_value) hwy::FlushStream();  // before another thread hears that it is done
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(update_piece);

template <class T>
T* at_element(const TensorView& view, std::int64_t index) {
  return view.empty() ? nullptr : view.as<T>() + index;
}

OptimizerPiece piece_at(const OptimizerRule& rule, const OptimizerRange& range, std::span<const float> scalars,
                        std::int64_t begin, std::int64_t count, float weight_decay) {
  return {.count = count,
          .gradient = at_element<float>(range.gradient, begin),
          .master = at_element<float>(range.master, begin),
          .value = at_element<bf16>(range.value, begin),
          .moment1 = at_element<float>(range.moment1, begin),
          .moment2 = at_element<float>(range.moment2, begin),
          .lr = scalars[kLearningRate],
          .gradient_scale = scalars[kGradientScale],
          .correction1 = rule.bias_correction ? scalars[kCorrection1] : 1.0,
          .correction2 = rule.bias_correction ? scalars[kCorrection2] : 1.0,
          .weight_decay = weight_decay,
          .first_step = scalars[kFirstStep] != 0.0f,
          .streams_value = range.value.bytes() >= kMoreThanCached &&
                           reinterpret_cast<std::uintptr_t>(at_element<bf16>(range.value, begin)) % 64 == 0};
}

}  // namespace

void optimizer_update(const OptimizerRule& rule, TensorView scalars, const OptimizerRange& range) {
  const std::span<const float> values = scalars.span<float>();
  FERULA_CHECK(values.size() == kStepScalars, "{} scalars of a step", values.size());
  check_range(rule, range);
  const auto update = [&](std::int64_t begin, std::int64_t end, float weight_decay) {
    if (begin < end)
      HWY_DYNAMIC_DISPATCH(update_piece)(rule, piece_at(rule, range, values, begin, end - begin, weight_decay));
  };
  parallel_ranges(range.master.count(), kPieceElements, [&](std::int64_t begin, std::int64_t length) {
    const std::int64_t end = begin + length;
    const auto ends_before = [](const DecaySegment& segment, std::int64_t at) {
      return segment.begin + segment.count <= at;
    };
    std::int64_t done = begin;
    for (auto segment = std::lower_bound(range.decay.begin(), range.decay.end(), begin, ends_before);
         segment != range.decay.end() && segment->begin < end; ++segment) {
      const std::int64_t from = std::max(done, segment->begin);
      const std::int64_t to = std::min(end, segment->begin + segment->count);
      update(done, from, 0.0f);
      update(from, to, segment->weight_decay);
      done = to;
    }
    update(done, end, 0.0f);
  });
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
