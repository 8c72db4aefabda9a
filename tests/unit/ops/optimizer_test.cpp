// The optimizer sweep of the CPU backend against plain double loops, over several steps.
#include <limits>

#include "sample_tensors.hpp"

namespace ferula::test {
namespace {

/// A flat range with masters, moments and, for bf16 models, the rounded copy.
struct State {
  TensorView master, value, moment1, moment2;
};

State make_state(OpBench& bench, std::int64_t count, DType dtype) {
  return {.master = bench.normals(DType::f32, {count}),
          .value = dtype == DType::bf16 ? bench.zeros(DType::bf16, {count}) : TensorView(),
          .moment1 = bench.zeros(DType::f32, {count}),
          .moment2 = bench.zeros(DType::f32, {count})};
}

State clone(OpBench& bench, const State& state) {
  return {bench.clone(state.master), bench.clone(state.value), bench.clone(state.moment1), bench.clone(state.moment2)};
}

TensorView scalars_of(OpBench& bench, const OptimizerRule& rule, int step) {
  const auto correction = [&](double beta) {
    return rule.bias_correction ? static_cast<float>(1.0 - std::pow(beta, step)) : 1.0f;
  };
  return bench.values<float>({0.01f, 0.5f, correction(rule.beta1), correction(rule.beta2), step == 1 ? 1.0f : 0.0f});
}

OptimizerRange range_of(const State& state, const TensorView& gradient, std::span<const DecaySegment> decay) {
  return {.gradient = gradient,
          .master = state.master,
          .value = state.value,
          .moment1 = state.moment1,
          .moment2 = state.moment2,
          .decay = decay};
}

/// Three steps of both backends from equal states stay together.
void expect_reference_steps(const OptimizerRule& rule, std::int64_t count, DType dtype) {
  OpBench bench;
  const State found = make_state(bench, count, dtype), wanted = clone(bench, found);
  const std::vector<DecaySegment> decay = {
      {0, count / 3, 0.1f}, {count / 3, count / 4, 0.0f}, {count / 2, count / 2, 0.3f}};
  for (int step = 1; step <= 3; ++step) {
    const TensorView gradient = bench.normals(DType::f32, {count}), scalars = scalars_of(bench, rule, step);

    bench.cpu().optimizer_update(bench.stream(), rule, scalars, range_of(found, gradient, decay));

    bench.reference().optimizer_update(bench.stream(), rule, scalars, range_of(wanted, gradient, decay));
    expect_close(found.moment1, wanted.moment1, 8.0);
    expect_close(found.moment2, wanted.moment2, 8.0);
    expect_close(found.master, wanted.master, 8.0);
    if (dtype == DType::bf16) {
      const TensorView rounded = bench.clone(found.value);
      bench.reference().copy(bench.stream(), found.master, rounded);
      expect_same_bits(found.value, rounded);
    }
  }
}

void expect_reference_steps(const OptimizerRule& rule) {
  for (const std::int64_t count : {1, 7, 17, 129, 40001})
    for (const DType dtype : kComputeTypes) {
      SCOPED_TRACE(fmt::format("{} elements of {}", count, name_of(dtype)));
      expect_reference_steps(rule, count, dtype);
    }
}

TEST(Adam, WithDecoupledDecayIsTheReference) { expect_reference_steps({.kind = OptimizerKind::adam}); }

TEST(Adam, WithCoupledDecayIsTheReference) {
  expect_reference_steps({.kind = OptimizerKind::adam, .decoupled_decay = false});
}

TEST(Adam, WithoutBiasCorrectionIsTheReference) {
  expect_reference_steps({.kind = OptimizerKind::adam, .beta1 = 0.8, .beta2 = 0.95, .bias_correction = false});
}

/// torch.optim.AdamW([1.0, -2.0], lr=0.1, betas=(0.5, 0.75), eps=0, weight_decay=0.5) with gradient [0.5, 4] moves by
/// lr · sign(g) after shrinking by 1 − lr · decay: 1 · 0.95 − 0.1 and −2 · 0.95 − 0.1.
TEST(Adam, FirstStepMovesByTheLearningRate) {
  OpBench bench;
  const OptimizerRule rule{.beta1 = 0.5f, .beta2 = 0.75f, .eps = 0.0f};
  const State state{.master = bench.values<float>({1.0f, -2.0f}),
                    .value = {},
                    .moment1 = bench.zeros(DType::f32, {2}),
                    .moment2 = bench.zeros(DType::f32, {2})};
  const DecaySegment decay[] = {{0, 2, 0.5f}};

  bench.cpu().optimizer_update(bench.stream(), rule, bench.values<float>({0.1f, 1.0f, 0.5f, 0.25f, 1.0f}),
                               range_of(state, bench.values<float>({0.5f, 4.0f}), decay));

  expect_close(state.master, bench.values<double>({0.85, -2.0}), 4.0);
}

TEST(Sgd, WithoutMomentumNeedsNoMoments) {
  OpBench bench;
  const State state{.master = bench.values<float>({1.0f, 2.0f, 3.0f})};

  bench.cpu().optimizer_update(bench.stream(), {.kind = OptimizerKind::sgd},
                               bench.values<float>({0.5f, 2.0f, 1.0f, 1.0f, 1.0f}),
                               range_of(state, bench.values<float>({1.0f, 0.0f, -1.0f}), {}));

  expect_same_bits(state.master, bench.values<float>({0.0f, 2.0f, 4.0f}));
}

TEST(Sgd, WithMomentumIsTheReference) {
  for (const bool nesterov : {false, true})
    expect_reference_steps(
        {.kind = OptimizerKind::sgd, .momentum = 0.9, .nesterov = nesterov, .decoupled_decay = false});
}

TEST(Sgd, FirstStepIgnoresWhatTheBufferHeld) {
  OpBench bench;
  const State state{.master = bench.values<float>({1.0f}), .value = {}, .moment1 = bench.values<float>({100.0f})};

  bench.cpu().optimizer_update(bench.stream(), {.kind = OptimizerKind::sgd, .momentum = 0.5f},
                               bench.values<float>({1.0f, 1.0f, 1.0f, 1.0f, 1.0f}),
                               range_of(state, bench.values<float>({0.25f}), {}));

  EXPECT_EQ(*state.moment1.as<float>(), 0.25f);
  EXPECT_EQ(*state.master.as<float>(), 0.75f);
}

TEST(Lion, IsTheReference) { expect_reference_steps({.kind = OptimizerKind::lion, .beta1 = 0.9, .beta2 = 0.99}); }

TEST(Lion, DoesNotMoveWithoutAGradient) {
  OpBench bench;
  const State state{.master = bench.values<float>({1.5f}), .value = {}, .moment1 = bench.values<float>({0.0f})};

  bench.cpu().optimizer_update(bench.stream(), {.kind = OptimizerKind::lion},
                               bench.values<float>({1.0f, 1.0f, 1.0f, 1.0f, 1.0f}),
                               range_of(state, bench.values<float>({0.0f}), {}));

  EXPECT_EQ(*state.master.as<float>(), 1.5f);
}

TEST(Optimizer, NanGradientsReachTheirElementOnly) {
  for (const OptimizerKind kind : {OptimizerKind::adam, OptimizerKind::sgd, OptimizerKind::lion}) {
    OpBench bench;
    const OptimizerRule rule{.kind = kind, .momentum = 0.9};
    const State state = make_state(bench, 40, DType::f32);
    const TensorView gradient = bench.normals(DType::f32, {40});
    Elements(gradient).set(std::numeric_limits<double>::quiet_NaN(), 33);

    bench.cpu().optimizer_update(bench.stream(), rule, scalars_of(bench, rule, 1), range_of(state, gradient, {}));

    for (std::int64_t index = 0; index < 40; ++index)
      EXPECT_EQ(std::isnan(Elements(state.master).at(index)), index == 33) << index;
  }
}

TEST(Optimizer, SameBitsOnOneAndTwoThreadsAndForAnyCutOfTheRange) {
  constexpr std::int64_t kCount = 50001, kCut = 20003;
  OpBench bench;
  const OptimizerRule rule;
  const State whole = make_state(bench, kCount, DType::bf16), cut = clone(bench, whole);
  const TensorView gradient = bench.normals(DType::f32, {kCount}), scalars = scalars_of(bench, rule, 1);
  const DecaySegment decay[] = {{0, kCount, 0.1f}}, first[] = {{0, kCut, 0.1f}}, second[] = {{0, kCount - kCut, 0.1f}};
  const auto part = [&](std::int64_t begin, std::int64_t count, std::span<const DecaySegment> segments) {
    const State piece{cut.master.range(begin, count), cut.value.range(begin, count), cut.moment1.range(begin, count),
                      cut.moment2.range(begin, count)};
    bench.cpu().optimizer_update(bench.stream(), rule, scalars,
                                 range_of(piece, gradient.range(begin, count), segments));
  };

  bench.cpu().optimizer_update(bench.stream(), rule, scalars, range_of(whole, gradient, decay));
  const ThreadCount threads(1);
  part(0, kCut, first);
  part(kCut, kCount - kCut, second);

  expect_same_bits(whole.master, cut.master);
  expect_same_bits(whole.value, cut.value);
  expect_same_bits(whole.moment2, cut.moment2);
}

TEST(Optimizer, AnEmptyRangeIsNoWork) {
  OpBench bench;
  const State state = make_state(bench, 0, DType::f32);

  bench.cpu().optimizer_update(bench.stream(), {}, scalars_of(bench, {}, 1),
                               range_of(state, bench.zeros(DType::f32, {0}), {}));
}

/// The copy is then written past the caches, but for pieces that a boundary of decay has moved off a line.
TEST(OptimizerUpdate, ALargeCopyIsTheRoundedMaster) {
  constexpr std::int64_t kCount = (8 << 20) / 2 + 77;  // just above the bytes from which it is
  for (const OptimizerKind kind : {OptimizerKind::adam, OptimizerKind::sgd, OptimizerKind::lion}) {
    OpBench bench;
    const OptimizerRule rule{.kind = kind};
    const State state = make_state(bench, kCount, DType::bf16);
    const TensorView gradient = bench.normals(DType::f32, {kCount});
    const std::vector<DecaySegment> decay = {{0, 1'000'003, 0.1f}, {1'000'003, kCount - 1'000'003, 0.0f}};
    const std::vector<float> before(state.master.span<float>().begin(), state.master.span<float>().end());

    bench.cpu().optimizer_update(bench.stream(), rule, scalars_of(bench, rule, 1), range_of(state, gradient, decay));

    const std::span<const float> master = state.master.span<float>();
    const std::span<const bf16> value = state.value.span<bf16>();
    std::int64_t moved = 0;
    for (std::size_t i = 0; i < master.size(); ++i) {
      moved += master[i] != before[i] ? 1 : 0;
      ASSERT_EQ(value[i], bf16(master[i])) << i;
    }
    EXPECT_GT(moved, kCount / 100 * 99);
  }
}

}  // namespace
}  // namespace ferula::test
