// Scoring a text over a device whose memory the host cannot touch, against the CPU, bit for bit.
#include <gtest/gtest.h>

#include "app/text_scorer.hpp"
#include "support/train/far_run.hpp"

namespace ferula {
namespace {

/// −log p of the tokens of a text, and their sum, as rank 0 has them.
std::vector<double> scores_of(const test::TinyRun& run) {
  std::vector<double> scores;
  on_tiny_ranks(run, test::tiny_dataset(), [&](test::TinyRank& rank) {
    TextScorer scorer(rank.transformer, rank.execution, rank.rank.mesh.world(), 16);
    std::vector<std::int32_t> tokens(70);
    for (std::size_t index = 0; index < tokens.size(); ++index) tokens[index] = static_cast<std::int32_t>(index % 50);
    std::vector<double> mine;
    const TextScore score = scorer.score(
        tokens, [&](std::span<const float> given) { mine.insert(mine.end(), given.begin(), given.end()); });
    mine.push_back(score.nats);
    if (rank.rank.mesh.rank() == 0) scores = mine;
  });
  return scores;
}

TEST(FarMemory, ScoresTheSameBits) {
  for (const int ranks : {1, 2}) {
    const test::TinyRun run{.stage = 3, .shape = {.shard = ranks}};
    const std::vector<double> expected = scores_of(run);

    ASSERT_EQ(expected.size(), 70u);  // 69 tokens and the sum
    EXPECT_EQ(scores_of(far(run)), expected) << name_of_run(run);
  }
}

}  // namespace
}  // namespace ferula
