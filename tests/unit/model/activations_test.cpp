// The plans of activation memory against what is taken from an arena.
#include "model/activations.hpp"

#include <gtest/gtest.h>

#include "support/model_fixture.hpp"

namespace ferula::test {
namespace {

class Activations : public testing::Test {
 protected:
  static std::vector<TransformerSpec> specs() {
    TransformerSpec dropout = tiny_spec("gpt2");
    dropout.dropout = 0.1f;
    return {tiny_spec("gpt2"), tiny_spec("llama"), tiny_grouped_spec(), dropout};
  }
  static constexpr ActivationSizes sizes(std::int64_t rows) { return {rows, 3, 5, DType::bf16}; }

  MemoryLedger ledger;
  std::unique_ptr<Device> device = make_cpu_device(ledger);
};

TEST_F(Activations, OfAMicroBatchFillTheirPlanExactly) {
  for (const TransformerSpec& spec : specs()) {
    Arena arena(*device, MemoryKind::activations);
    arena.reserve(activation_bytes(spec, sizes(17)));
    ChunkActivations chunk;

    arena.take(DType::bf16, {17, spec.width});
    take_chunk(arena, spec, sizes(17), chunk);

    EXPECT_EQ(arena.high_water_bytes(), activation_bytes(spec, sizes(17)));
    EXPECT_EQ(chunk.blocks.size(), 3u);
  }
}

TEST_F(Activations, ScratchIsAsLargeAsItsLargestPhase) {
  for (const TransformerSpec& spec : specs()) {
    Arena arena(*device, MemoryKind::activations);
    arena.reserve(training_scratch_bytes(spec, sizes(17)));

    {
      const Arena::Scope head(arena);
      take_head(arena, spec, sizes(17));
      take_head_gradients(arena, spec, sizes(17));
    }
    {
      const Arena::Scope feed_forward(arena);
      take_feed_forward_gradients(arena, spec, sizes(17));
    }
    {
      const Arena::Scope attention(arena);
      take_attention_gradients(arena, spec, sizes(17));
    }

    EXPECT_EQ(arena.high_water_bytes(), training_scratch_bytes(spec, sizes(17)));
  }
}

TEST_F(Activations, OfZeroRowsAreEmptyAndLegal) {
  Arena arena(*device, MemoryKind::activations);
  arena.reserve(activation_bytes(tiny_spec("llama"), sizes(1)));
  ChunkActivations chunk;

  take_chunk(arena, tiny_spec("llama"), sizes(0), chunk);

  EXPECT_EQ(arena.used_bytes(), 0);
  EXPECT_EQ(chunk.blocks[0].qkv.count(), 0);
}

}  // namespace
}  // namespace ferula::test
