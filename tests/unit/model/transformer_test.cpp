// The whole model on the plain operations: chunks, micro batches, frozen tensors, parts, layouts of ranks.
#include "model/transformer.hpp"

#include <gtest/gtest.h>

#include "support/model_fixture.hpp"

namespace ferula::test {
namespace {

std::vector<TransformerSpec> all_specs() {
  TransformerSpec untied = tiny_spec("gpt2");
  untied.tied = false;
  TransformerSpec tied = tiny_grouped_spec();
  tied.tied = true;
  return {tiny_spec("gpt2"), untied, tiny_spec("llama"), tied};
}

TransformerSettings settings_for(std::int64_t rows) { return {.rows = rows}; }

/// f32 sums in another order: a few hundred roundings of 2⁻²⁴ each.
constexpr double kReordered = 2e-5;

TEST(Transformer, LossInChunksIsTheLossInOnePiece) {
  for (const TransformerSpec& spec : all_specs()) {
    on_ranks(MeshShape{}, [&](RankParts& rank) {
      TestBatch batch(spec, {7, 1, 10}, 3);
      TestModel whole(rank, spec, settings_for(18));
      TestModel chunked(rank, spec, {.rows = 18, .logit_bytes = 7 * 4 * spec.vocabulary});

      const double whole_loss = whole.train(batch, 0.1f);
      const double chunked_loss = chunked.train(batch, 0.1f);

      EXPECT_EQ(chunked_loss, whole_loss);
      EXPECT_LT(worst_difference(all_gradients(chunked), all_gradients(whole)), kReordered);
    });
  }
}

TEST(Transformer, MicroBatchesAddUpToTheBatchAlsoWithDropout) {
  for (TransformerSpec spec : all_specs()) {
    spec.dropout = 0.2f;
    on_ranks(MeshShape{}, [&](RankParts& rank) {
      TestBatch first(spec, {7, 1}, 3), second(spec, {10}, 4), both = first.joined_with(second);
      TestModel at_once(rank, spec, settings_for(18));
      TestModel in_turn(rank, spec, settings_for(18));

      const double loss = at_once.train(both, 0.1f);
      const double sum = in_turn.train(first, 0.1f) + in_turn.train(second, 0.1f);

      EXPECT_NEAR(sum, loss, 1e-6 * loss);
      EXPECT_LT(worst_difference(all_gradients(in_turn), all_gradients(at_once)), kReordered);
    });
  }
}

TEST(Transformer, MicroBatchesUnderWayTogetherKeepApart) {
  const TransformerSpec spec = tiny_spec("gpt2");
  on_ranks(MeshShape{}, [&](RankParts& rank) {
    TestBatch first(spec, {7, 1}, 3), second(spec, {10}, 4);
    TestModel in_turn(rank, spec, settings_for(10));
    TestModel together(rank, spec, {.rows = 10, .slots = 2});
    const double expected = in_turn.train(first, 1.0f) + in_turn.train(second, 1.0f);

    together.transformer.forward(first.view(), 0);
    together.transformer.forward(second.view(), 1);
    const double loss =
        together.transformer.backward(first.view(), 0, 1.0f) + together.transformer.backward(second.view(), 1, 1.0f);

    EXPECT_EQ(loss, expected);
    EXPECT_EQ(all_gradients(together), all_gradients(in_turn));
  });
}

TEST(Transformer, ZeroRowsAddNothing) {
  for (const TransformerSpec& spec : all_specs()) {
    on_ranks(MeshShape{}, [&](RankParts& rank) {
      TestBatch batch(spec, {5}, 3), nothing(spec, {}, 3);
      TestModel model(rank, spec, settings_for(5));
      model.train(batch, 1.0f);
      const auto before = all_gradients(model);

      const double loss = model.train(nothing, 1.0f);

      EXPECT_EQ(loss, 0.0);
      EXPECT_EQ(model.transformer.evaluate(nothing.view()), 0.0);
      EXPECT_EQ(all_gradients(model), before);
    });
  }
}

TEST(Transformer, EvaluatesTheLossOfTraining) {
  for (const TransformerSpec& spec : all_specs()) {
    on_ranks(MeshShape{}, [&](RankParts& rank) {
      TestBatch batch(spec, {7, 1, 10}, 3);
      TestModel model(rank, spec, {.rows = 18, .logit_bytes = 7 * 4 * spec.vocabulary});
      std::vector<float> losses(18);
      const TensorView view(reinterpret_cast<std::byte*>(losses.data()), DType::f32, {18});

      const double trained = model.train(batch, 1.0f);
      const double evaluated = model.transformer.evaluate(batch.view());
      model.transformer.token_losses(batch.view(), view);

      EXPECT_EQ(evaluated, trained);
      EXPECT_EQ(std::accumulate(losses.begin(), losses.end(), 0.0), trained);
      EXPECT_EQ(losses[4], 0.0f);  // the fifth row has no target
    });
  }
}

TEST(Transformer, DropsInTrainingOnly) {
  TransformerSpec spec = tiny_spec("gpt2");
  on_ranks(MeshShape{}, [&](RankParts& rank) {
    TestBatch batch(spec, {9}, 3);
    TestModel plain(rank, spec, settings_for(9));
    spec.dropout = 0.2f;
    TestModel dropping(rank, spec, settings_for(9));

    EXPECT_EQ(dropping.transformer.evaluate(batch.view()), plain.transformer.evaluate(batch.view()));
    EXPECT_NE(dropping.train(batch, 1.0f), plain.train(batch, 1.0f));
  });
}

TEST(Transformer, PaddingOfTheVocabularyLearnsNothing) {
  const TransformerSpec spec = tiny_spec("llama");
  on_ranks(MeshShape{}, [&](RankParts& rank) {
    TestBatch batch(spec, {9}, 3);
    TestModel model(rank, spec, settings_for(9));

    model.train(batch, 1.0f);

    const TensorView head = model.gradient(head_unit(spec), find_param(model.store.model().back(), "head.weight"));
    EXPECT_GT(norm_of(to_vector(head.rows(0, spec.tokens))), 0.1);
    EXPECT_EQ(norm_of(to_vector(head.rows(spec.tokens, spec.vocabulary - spec.tokens))), 0.0);
  });
}

TEST(Transformer, FrozenTensorsHaveNoGradientAndChangeNoOther) {
  for (const TransformerSpec& spec : all_specs()) {
    on_ranks(MeshShape{}, [&](RankParts& rank) {
      ModelSpec table = parameter_table(spec, DType::f32);
      freeze(table, std::vector<std::string>{"embedding.*", "blocks.0.*", "blocks.2.attention.key.weight"});
      TestBatch batch(spec, {7, 3}, 3);
      TestModel trained(rank, spec, settings_for(10)), frozen(rank, spec, table, settings_for(10));

      trained.train(batch, 1.0f);
      frozen.train(batch, 1.0f);

      for (std::size_t unit = 0; unit < table.size(); ++unit)
        for (std::size_t param = 0; param < table[unit].params.size(); ++param) {
          const TensorView gradient = frozen.gradient(unit, param);
          ASSERT_EQ(gradient.empty(), !table[unit].params[param].trainable);
          if (gradient.empty()) continue;
          EXPECT_LT(relative_difference(to_vector(gradient), to_vector(trained.gradient(unit, param))), kReordered);
        }
    });
  }
}

TEST(Transformer, TakesItsPlannedActivationsAndAllocatesNothingInAStep) {
  for (const TransformerSpec& spec : all_specs()) {
    on_ranks(MeshShape{}, [&](RankParts& rank) {
      TestBatch batch(spec, {7, 1, 10}, 3), smaller(spec, {4}, 4);
      const TransformerSettings settings{.rows = 18, .slots = 2, .logit_bytes = 7 * 4 * spec.vocabulary};
      TestModel model(rank, spec, settings);
      const std::int64_t allocations = rank.ledger.allocations();

      model.train(batch, 1.0f);
      model.train(smaller, 1.0f);
      model.transformer.evaluate(batch.view());

      EXPECT_EQ(rank.ledger.allocations(), allocations);
      EXPECT_EQ(rank.ledger.peak_bytes(MemoryKind::activations), transformer_bytes(spec, settings, whole_model(spec)));
    });
  }
}

TEST(Transformer, RefusesMoreRowsThanPlanned) {
  const TransformerSpec spec = tiny_spec("gpt2");
  on_ranks(MeshShape{}, [&](RankParts& rank) {
    TestBatch batch(spec, {9}, 3);
    TestModel model(rank, spec, settings_for(8));

    EXPECT_THROW(model.transformer.forward(batch.view(), 0), Error);
  });
}

TEST(Transformer, PartsOfAModelPassTheStreamAndItsGradientOn) {
  const TransformerSpec spec = tiny_spec("llama");
  on_ranks(MeshShape{}, [&](RankParts& rank) {
    TestBatch batch(spec, {7, 3}, 3);
    TestModel whole(rank, spec, settings_for(10));
    TestModel lower(rank, spec, settings_for(10), {}, ModelChunk{0, 1});
    TestModel upper(rank, spec, settings_for(10), {}, ModelChunk{1, 3});
    const double expected = whole.train(batch, 1.0f);
    Ops& ops = *rank.ops;

    lower.transformer.forward(batch.view(), 0);
    ops.copy(*rank.compute, lower.transformer.output(0), upper.transformer.input(10, 0));
    upper.transformer.forward(batch.view(), 0);
    const double loss = upper.transformer.backward(batch.view(), 0, 1.0f);
    ops.copy(*rank.compute, upper.transformer.gradient(0), lower.transformer.gradient(0));
    lower.transformer.backward(batch.view(), 0, 1.0f);

    EXPECT_NEAR(loss, expected, 1e-6 * expected);
    for (std::size_t unit = 0; unit < whole.store.model().size(); ++unit) {
      TestModel& part = unit <= block_unit(0) ? lower : upper;
      EXPECT_LT(relative_difference(to_vector(part.gradient(unit, 0)), to_vector(whole.gradient(unit, 0))), kReordered);
    }
  });
}

/// Loss and gradient norm of two steps of a layout, each rank with its share of the sequences.
std::vector<double> two_steps(const TransformerSpec& spec, MeshShape shape, int stage) {
  std::vector<double> seen;
  on_ranks(shape, [&](RankParts& rank) {
    const int ranks = rank.mesh.size();
    const std::int64_t own = rank.mesh.rank() < 3 ? (3 - rank.mesh.rank() + ranks - 1) / ranks : 0;
    TestModel model(rank, spec, settings_for(21), {.persistence_threshold = 50, .stage = stage});
    std::vector<double> local;
    for (std::int64_t step = 1; step <= 2; ++step) {
      double loss = 0.0;
      model.store.zero_gradients();
      for (std::int64_t turn = 0; turn < (3 + ranks - 1) / ranks; ++turn) {
        const auto sequence = static_cast<std::uint32_t>(turn * ranks + rank.mesh.rank());
        TestBatch batch(spec, turn < own ? std::vector<std::int64_t>{7} : std::vector<std::int64_t>{}, sequence);
        loss += model.train(batch, 0.05f);
      }
      model.store.finish_gradients();
      local.push_back(agree_sum(rank.mesh.world(), *rank.communication, loss));
      local.push_back(model.store.gradient_norm());
      model.store.update({.learning_rate = 1e-2, .gradient_scale = 1.0, .step = step});
    }
    if (rank.mesh.rank() == 0) seen = local;
  });
  return seen;
}

/// One Adam step of 0.01 moves each weight by about its size whatever the gradient's, so a gradient near zero with
/// another sign of its last bits matters: 1e-4 in the second step.
TEST(Transformer, EveryLayoutTrainsLikeOneRank) {
  for (const TransformerSpec& spec : all_specs()) {
    const std::vector<double> expected = two_steps(spec, MeshShape{}, 0);
    for (const int stage : {0, 1, 2, 3})
      for (const int ranks : {2, 3, 4}) {
        const std::vector<double> seen = two_steps(spec, {.shard = ranks}, stage);
        ASSERT_EQ(seen.size(), expected.size());
        for (std::size_t index = 0; index < seen.size(); ++index)
          EXPECT_NEAR(seen[index], expected[index], (index < 2 ? 1e-5 : 1e-4) * expected[index])
              << spec.family.name << " stage " << stage << " ranks " << ranks << " value " << index;
      }
  }
}

}  // namespace
}  // namespace ferula::test
