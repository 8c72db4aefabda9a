// The whole model on the CPU backend against the plain operations: losses, gradients and cached decoding.
#include <gtest/gtest.h>

#include "comm/simulated_transport.hpp"
#include "support/model_fixture.hpp"
#include "support/reference_ops.hpp"

namespace ferula::test {
namespace {

std::unique_ptr<Ops> cpu_ops(Device& device) { return make_cpu_ops(device); }
std::unique_ptr<Ops> plain_ops(Device&) { return make_reference_ops(); }

/// One rank of its own with these operations.
struct OneRank {
  explicit OneRank(std::unique_ptr<Ops> (*make_ops)(Device&)) : parts(make_self_transport(), MeshShape{}, make_ops) {}
  RankParts parts;
};

/// Head sizes and widths that the CPU's kernels have: the plain operations know no limits.
std::vector<TransformerSpec> specs() {
  TransformerSpec gpt2 = tiny_spec("gpt2");
  gpt2.width = 96;
  gpt2.head_dim = 32;
  gpt2.ffn_width = 130;
  gpt2.vocabulary = 67;
  gpt2.tokens = 65;
  gpt2.init_std = 0.08f;
  TransformerSpec llama = gpt2;
  llama.family = model_family("llama");
  llama.heads = 4;
  llama.kv_heads = 2;
  llama.tied = false;
  TransformerSpec dropping = gpt2;
  dropping.dropout = 0.1f;
  return {gpt2, llama, dropping};
}

struct Outcome {
  double loss = 0.0;
  double evaluated = 0.0;
  std::vector<std::vector<double>> gradients;
  std::vector<double> logits;
};

/// The logits of three rows of `batch`, read at once into a new cache.
std::vector<double> decode(OneRank& rank, TestModel& model, TestBatch& batch) {
  const TransformerSpec& spec = model.transformer.spec();
  const KvCache cache(*rank.parts.device, spec, model.transformer.settings().compute, 3, spec.context);
  std::vector<std::int32_t> wanted{9, 10, 17};
  std::vector<float> logits(3 * static_cast<std::size_t>(spec.vocabulary));
  const TensorView rows(reinterpret_cast<std::byte*>(wanted.data()), DType::i32, {3});
  const TensorView view(reinterpret_cast<std::byte*>(logits.data()), DType::f32, {3, spec.vocabulary});
  model.transformer.decode(batch.view(), cache, rows, view);
  return to_vector(view);
}

/// Two micro batches, an evaluation and a decoded text.
Outcome run_model(std::unique_ptr<Ops> (*make_ops)(Device&), const TransformerSpec& spec, DType compute) {
  OneRank rank(make_ops);
  TestModel model(rank.parts, spec, {.compute = compute, .rows = 21, .logit_bytes = 16 * 4 * spec.vocabulary});
  TestBatch first(spec, {10, 1, 7}, 3), second(spec, {11, 10}, 4);
  Outcome outcome;
  outcome.loss = model.train(first, 0.1f) + model.train(second, 0.1f);
  outcome.gradients = all_gradients(model);
  outcome.evaluated = model.transformer.evaluate(first.view());
  outcome.logits = decode(rank, model, first);
  return outcome;
}

/// Sums of at most some hundred f32 terms in another order, through three layers and back.
TEST(CpuModel, AgreesWithThePlainOperationsInF32) {
  for (const TransformerSpec& spec : specs()) {
    const Outcome plain = run_model(plain_ops, spec, DType::f32), cpu = run_model(cpu_ops, spec, DType::f32);

    EXPECT_NEAR(cpu.loss, plain.loss, 2e-6 * plain.loss);
    EXPECT_NEAR(cpu.evaluated, plain.evaluated, 2e-6 * plain.evaluated);
    EXPECT_LT(worst_difference(cpu.gradients, plain.gradients), 2e-5);
    EXPECT_LT(relative_difference(cpu.logits, plain.logits), 1e-5);
  }
}

/// Where a sum lies near the middle between two bf16 numbers, the two round apart by 2⁻⁸; such flips are rare and
/// independent, and average out to well under one rounding over a tensor.
TEST(CpuModel, AgreesWithThePlainOperationsInBf16) {
  for (const TransformerSpec& spec : specs()) {
    const Outcome plain = run_model(plain_ops, spec, DType::bf16), cpu = run_model(cpu_ops, spec, DType::bf16);

    EXPECT_NEAR(cpu.loss, plain.loss, 1e-3 * plain.loss);
    EXPECT_LT(worst_difference(cpu.gradients, plain.gradients), 2e-2);
    EXPECT_LT(relative_difference(cpu.logits, plain.logits), 2e-2);
  }
}

/// Packing changes the order of sums at most: f32 to the last bits, bf16 by rare flips.
TEST(CpuModel, PackedWeightsGiveTheSameLogitsAlsoAfterAnUpdate) {
  for (const TransformerSpec& spec : specs())
    for (const DType compute : {DType::f32, DType::bf16}) {
      OneRank rank(cpu_ops);
      TestModel plain(rank.parts, spec, {.compute = compute, .rows = 21});
      TestModel packed(rank.parts, spec, {.compute = compute, .rows = 21}, {.packs_weights = true});
      TestBatch batch(spec, {10, 1, 7}, 3);
      for (std::int64_t step = 1; step <= 2; ++step) {
        EXPECT_LT(relative_difference(decode(rank, packed, batch), decode(rank, plain, batch)),
                  compute == DType::f32 ? 1e-5 : 2e-2);
        for (TestModel* model : {&plain, &packed}) {
          model->store.zero_gradients();
          model->train(batch, 0.1f);
          model->store.finish_gradients();
          model->store.update({.learning_rate = 1e-2, .gradient_scale = 1.0, .step = step});
        }
      }
    }
}

TEST(CpuModel, AllocatesNothingAfterTheFirstStep) {
  for (const TransformerSpec& spec : specs()) {
    OneRank rank(cpu_ops);
    TestModel model(rank.parts, spec, {.compute = DType::bf16, .rows = 21});
    TestBatch batch(spec, {11, 10}, 3), smaller(spec, {4}, 4);
    const auto step = [&](std::int64_t number) {
      model.store.zero_gradients();
      model.train(batch, 0.1f);
      model.train(smaller, 0.1f);
      model.store.finish_gradients();
      model.store.update({.learning_rate = 1e-3, .gradient_scale = 1.0, .step = number});
      model.transformer.evaluate(batch.view());
    };
    step(1);
    const std::int64_t allocations = rank.parts.ledger.allocations();

    for (std::int64_t number = 2; number <= 5; ++number) step(number);

    EXPECT_EQ(rank.parts.ledger.allocations(), allocations);
  }
}

TEST(CpuModel, LearnsABatchByHeart) {
  for (const TransformerSpec& spec : specs()) {
    OneRank rank(cpu_ops);
    TestModel model(rank.parts, spec, {.compute = DType::bf16, .rows = 21});
    TestBatch batch(spec, {11, 10}, 3);
    const auto targets = static_cast<double>(batch.view().targets);
    const double before = model.transformer.evaluate(batch.view()) / targets;

    for (std::int64_t step = 1; step <= 40; ++step) {
      model.store.zero_gradients();
      model.train(batch, static_cast<float>(1.0 / targets));
      model.store.finish_gradients();
      model.store.update({.learning_rate = 5e-3, .gradient_scale = 1.0, .step = step});
    }

    EXPECT_GT(before, 3.5);
    EXPECT_LT(model.transformer.evaluate(batch.view()) / targets, 0.3);
  }
}

}  // namespace
}  // namespace ferula::test
