// Processes of an MPI job train and write as simulated ranks do, bit for bit, over shared memory and over messages.
#include <gtest/gtest.h>

#include <array>

#include "comm/mpi_transport.hpp"
#include "comm/simulated_transport.hpp"
#include "generate/generator.hpp"
#include "support/ranks/job.hpp"
#include "support/train/tiny_run.hpp"
#include "support/train/whole_state.hpp"

namespace ferula {
namespace {

using test::Curve;
using test::name_of_run;
using test::RankParts;
using test::tiny_dataset;
using test::TinyRank;
using test::TinyRun;
using test::WholeState;

/// Every stage on all ranks of the job, and hybrids where the number is even; some overlapped, some accumulating.
std::vector<TinyRun> layouts(DType compute) {
  std::vector<TinyRun> runs;
  for (int stage = 0; stage <= 3; ++stage) {
    TinyRun run{.compute = compute, .stage = stage, .shape = {.shard = test::job().size()}, .steps = 4};
    if (stage >= 2) run.overlap = test::Overlap::on;
    if (stage % 2 == 1) run.accumulation = 2;
    runs.push_back(run);
    if (stage == 2) runs.push_back(offloaded(run));
    if (test::job().size() % 2 != 0) continue;
    run.shape = {.replica = 2, .shard = test::job().size() / 2};
    runs.push_back(run);
  }
  return runs;
}

class OverTransports : public testing::TestWithParam<NodeTraffic> {
 protected:
  /// Calls `body` on this process as a rank of the run's layout.
  static void as_rank(const TinyRun& run, const std::function<void(TinyRank&)>& body) {
    RankParts parts(make_mpi_transport(test::job(), {.within_node = GetParam()}), run.shape, run.make_ops);
    set_compute_threads(1);
    TinyRank rank(parts, run, tiny_dataset());
    body(rank);
  }
};
INSTANTIATE_TEST_SUITE_P(Mpi, OverTransports, testing::Values(NodeTraffic::shared_memory, NodeTraffic::mpi),
                         [](const auto& each) { return each.param == NodeTraffic::mpi ? "mpi" : "shared_memory"; });

// --- training -------------------------------------------------------------------------------------------------------

TEST_P(OverTransports, ProcessesTrainAsSimulatedRanksDoBitForBit) {
  for (const DType compute : {DType::f32, DType::bf16}) {
    for (const TinyRun& run : layouts(compute)) {
      const Curve expected = curve_of(run, tiny_dataset());
      Curve found;
      as_rank(run, [&](TinyRank& rank) {
        for (std::int64_t step = 0; step < run.steps; ++step) {
          const StepResult result = rank.trainer.step();
          found.losses.push_back(result.loss);
          found.norms.push_back(result.gradient_norm);
        }
        found.validation_loss = rank.trainer.validation_loss().value();
      });

      EXPECT_EQ(found.losses, expected.losses) << name_of_run(run);
      EXPECT_EQ(found.norms, expected.norms) << name_of_run(run);
      EXPECT_EQ(found.validation_loss, expected.validation_loss) << name_of_run(run);
    }
  }
}

/// What a rank counted after two steps.
struct Counted {
  std::int64_t state_bytes = 0;
  std::int64_t peak_bytes = 0;
  std::int64_t elements_sent = 0;
};

Counted counted_after_two_steps(TinyRank& rank) {
  for (int step = 0; step < 2; ++step) rank.trainer.step();
  const MemoryLedger& ledger = rank.rank.ledger;
  return {.state_bytes = ledger.current_bytes(MemoryKind::parameters) + ledger.current_bytes(MemoryKind::gradients) +
                         ledger.current_bytes(MemoryKind::optimizer),
          .peak_bytes = ledger.peak_bytes(),
          .elements_sent = rank.rank.mesh.traffic().total().elements};
}

/// What the groups of processes hold beside: memory in which operands wait for their peers. World, data, replica and
/// shard may have several ranks.
std::int64_t transit_bytes(NodeTraffic traffic) {
  constexpr std::int64_t kGroups = 4;
  const MpiOptions options;
  const std::int64_t windows =
      options.shared_memory.chunk_bytes + test::job().size() * options.shared_memory.message_chunk_bytes;
  return kGroups * (traffic == NodeTraffic::mpi ? options.staging_bytes : windows);
}

TEST_P(OverTransports, ProcessesHoldAndSendWhatSimulatedRanksDo) {
  for (TinyRun run : layouts(DType::bf16)) {
    if (GetParam() == NodeTraffic::shared_memory) run.common = CommonMemory::of_groups;
    Counted expected, found;
    test::on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
      const Counted counted = counted_after_two_steps(rank);
      if (rank.rank.mesh.rank() == 0) expected = counted;
    });
    as_rank(run, [&](TinyRank& rank) { found = counted_after_two_steps(rank); });

    EXPECT_EQ(found.state_bytes, expected.state_bytes) << name_of_run(run);
    EXPECT_LE(found.peak_bytes, expected.peak_bytes + transit_bytes(GetParam())) << name_of_run(run);
    EXPECT_EQ(found.elements_sent, expected.elements_sent) << name_of_run(run);
  }
}

// --- generation -----------------------------------------------------------------------------------------------------

/// The state after some steps on one rank, the same in every process.
const WholeState& trained() {
  static const WholeState* const state = [] {
    static WholeState made;
    test::on_tiny_ranks({.compute = DType::bf16}, tiny_dataset(), [](TinyRank& rank) {
      for (int step = 0; step < 12; ++step) rank.trainer.step();
      made.add(rank.store.owned_pieces());
    });
    return &made;
  }();
  return *state;
}

/// Prompts that differ in length; five, so that on no number of ranks but one each rank has equally many.
std::vector<GenerationRequest> requests(const Tokenizer& tokenizer) {
  constexpr std::array<std::string_view, 5> kPrompts{"al", "gamma", "z", "eta thet", "be"};
  std::vector<GenerationRequest> made;
  for (const std::string_view prompt : kPrompts) {
    GenerationRequest request{.prompt = {}, .max_new_tokens = 4 + std::ssize(made), .stop = {}};
    tokenizer.encode(prompt, request.prompt);
    made.push_back(std::move(request));
  }
  return made;
}

std::vector<std::string> texts_of(TinyRank& rank, const SamplingOptions& options) {
  const std::vector<OwnedPiece> needed = rank.store.needed_pieces();
  trained().fill(needed);
  rank.store.adopt_loaded_state(true);
  const auto tokenizer = make_tokenizer("bytes");
  TransformerDecoder decoder(rank.transformer, rank.execution);
  Generator generator(decoder, *tokenizer, {rank.rank.mesh.world(), rank.execution.communication}, options);
  std::vector<std::string> texts;
  for (const GenerationResult& result : generator.run(requests(*tokenizer))) texts.push_back(result.text);
  return texts;
}

TEST_P(OverTransports, EveryLayoutWritesTheTextsOfOneRank) {
  const std::vector<SamplingOptions> ways{{.choice = Choice::greedy},
                                          {.choice = Choice::sample, .temperature = 1.3, .top_p = 0.9, .seed = 3}};
  for (const SamplingOptions& options : ways) {
    std::vector<std::string> expected;
    test::on_tiny_ranks({.compute = DType::bf16}, tiny_dataset(),
                        [&](TinyRank& rank) { expected = texts_of(rank, options); });
    ASSERT_EQ(expected.size(), 5u);
    for (const TinyRun& run : layouts(DType::bf16)) {
      as_rank(run, [&](TinyRank& rank) { EXPECT_EQ(texts_of(rank, options), expected) << name_of_run(run); });
    }
  }
}

}  // namespace
}  // namespace ferula
