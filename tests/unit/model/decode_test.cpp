// Reading a text piece by piece with a cache gives what one pass over the whole text gives.
#include <gtest/gtest.h>

#include "support/model_fixture.hpp"

namespace ferula::test {
namespace {

/// −log softmax(logits)[target] over the tokens.
double loss_of(const TensorView& logits, std::int64_t row, std::int32_t target, std::int64_t tokens) {
  double total = 0.0;
  for (std::int64_t token = 0; token < tokens; ++token) total += std::exp(Elements(logits).at(row, token));
  return std::log(total) - Elements(logits).at(row, target);
}

/// Owns the wanted rows and their logits.
struct Answer {
  Answer(const TransformerSpec& spec, std::vector<std::int32_t> rows)
      : wanted(std::move(rows)), values(wanted.size() * static_cast<std::size_t>(spec.vocabulary)), spec(spec) {}
  std::int64_t count() const { return static_cast<std::int64_t>(wanted.size()); }
  TensorView rows() { return {reinterpret_cast<std::byte*>(wanted.data()), DType::i32, {count()}}; }
  TensorView logits() { return {reinterpret_cast<std::byte*>(values.data()), DType::f32, {count(), spec.vocabulary}}; }
  std::vector<std::int32_t> wanted;
  std::vector<float> values;
  TransformerSpec spec;
};

Answer all_rows(const TransformerSpec& spec, std::int64_t rows) {
  std::vector<std::int32_t> wanted(static_cast<std::size_t>(rows));
  for (std::size_t row = 0; row < wanted.size(); ++row) wanted[row] = static_cast<std::int32_t>(row);
  return {spec, wanted};
}

std::vector<TransformerSpec> specs() { return {tiny_spec("gpt2"), tiny_spec("llama"), tiny_grouped_spec()}; }

constexpr std::int64_t kRows = 18;
const std::vector<std::int64_t> kLengths = {7, 1, 10};

/// Losses near 5 from f32 logits: 1e-5 is some ten roundings.
TEST(Decode, OfAWholeTextGivesTheLossesOfEvaluation) {
  for (const TransformerSpec& spec : specs()) {
    on_ranks(MeshShape{}, [&](RankParts& rank) {
      TestBatch batch(spec, kLengths, 3);
      TestModel model(rank, spec, {.rows = kRows, .slots = 0}, {.trains = false});
      const KvCache cache(*rank.device, spec, DType::f32, 3, spec.context);
      std::vector<float> losses(kRows);
      Answer answer = all_rows(spec, kRows);

      model.transformer.token_losses(batch.view(), {reinterpret_cast<std::byte*>(losses.data()), DType::f32, {kRows}});
      model.transformer.decode(batch.view(), cache, answer.rows(), answer.logits());

      const std::span<std::int32_t> targets = batch.view().target.span<std::int32_t>();
      for (std::int64_t row = 0; row < kRows; ++row) {
        const std::int32_t target = targets[static_cast<std::size_t>(row)];
        if (target < 0) continue;
        EXPECT_NEAR(loss_of(answer.logits(), row, target, spec.tokens), losses[static_cast<std::size_t>(row)], 1e-5);
      }
    });
  }
}

/// A prompt of three tokens, then the rest one position at a time, while shorter sequences run out.
TEST(Decode, InPiecesGivesTheLogitsOfOnePass) {
  for (const TransformerSpec& spec : specs()) {
    on_ranks(MeshShape{}, [&](RankParts& rank) {
      TestBatch batch(spec, kLengths, 3);
      TestModel model(rank, spec, {.rows = kRows, .slots = 0}, {.trains = false});
      const KvCache cache(*rank.device, spec, DType::f32, 3, spec.context);
      const KvCache whole_cache(*rank.device, spec, DType::f32, 3, spec.context);
      Answer whole = all_rows(spec, kRows);
      model.transformer.decode(batch.view(), whole_cache, whole.rows(), whole.logits());

      TestBatch prompt = batch.at_positions({0, 1, 2});
      Answer first = all_rows(spec, prompt.view().rows);
      model.transformer.decode(prompt.view(), cache, first.rows(), first.logits());
      for (std::int32_t position = 3; position < 10; ++position) {
        TestBatch step = batch.at_positions({position});
        Answer answer = all_rows(spec, step.view().rows);
        model.transformer.decode(step.view(), cache, answer.rows(), answer.logits());

        const auto last = static_cast<std::int64_t>(answer.wanted.size()) - 1;  // of the longest sequence
        const TensorView expected = whole.logits().rows(8 + position, 1);
        EXPECT_LT(relative_difference(to_vector(answer.logits().rows(last, 1)), to_vector(expected)), 1e-5);
      }
    });
  }
}

TEST(Decode, GivesTheLogitsOfTheWantedRowsInTheirOrder) {
  const TransformerSpec spec = tiny_spec("gpt2");
  on_ranks(MeshShape{}, [&](RankParts& rank) {
    TestBatch batch(spec, kLengths, 3);
    TestModel model(rank, spec, {.rows = kRows, .slots = 0}, {.trains = false});
    const KvCache cache(*rank.device, spec, DType::f32, 3, spec.context);
    Answer whole = all_rows(spec, kRows), some(spec, {17, 6, 7});

    model.transformer.decode(batch.view(), cache, whole.rows(), whole.logits());
    model.transformer.decode(batch.view(), cache, some.rows(), some.logits());

    EXPECT_EQ(to_vector(some.logits().rows(0, 1)), to_vector(whole.logits().rows(17, 1)));
    EXPECT_EQ(to_vector(some.logits().rows(1, 2)), to_vector(whole.logits().rows(6, 2)));
  });
}

TEST(Decode, OfNothingKeepsRanksInStep) {
  const TransformerSpec spec = tiny_spec("llama");
  on_ranks({.shard = 3}, [&](RankParts& rank) {
    TestBatch batch(spec, rank.mesh.rank() == 1 ? std::vector<std::int64_t>{4} : std::vector<std::int64_t>{}, 3);
    TestModel model(rank, spec, {.rows = 4, .slots = 0}, {.persistence_threshold = 0, .stage = 3, .trains = false});
    const KvCache cache(*rank.device, spec, DType::f32, 1, spec.context);
    Answer answer = all_rows(spec, batch.view().rows);

    model.transformer.decode(batch.view(), cache, answer.rows(), answer.logits());

    EXPECT_EQ(norm_of(to_vector(answer.logits())) > 0.1, rank.mesh.rank() == 1);
  });
}

TEST(KvCache, IsCountedByTheLedger) {
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);
  const TransformerSpec spec = tiny_grouped_spec();

  const KvCache cache(*device, spec, DType::bf16, 5, 7);

  EXPECT_EQ(ledger.current_bytes(MemoryKind::buffers), 2 * 3 * 5 * 7 * 2 * 6 * 2);
  EXPECT_EQ(cache.of_layer(2).values.dim(2), 2);
  EXPECT_EQ(kv_cache_bytes(spec, DType::bf16, 5, 7), ledger.current_bytes());
}

}  // namespace
}  // namespace ferula::test
