// Generation over a device whose memory the host cannot touch, against the CPU, bit for bit.
#include <gtest/gtest.h>

#include "generate/generator.hpp"
#include "support/train/far_run.hpp"
#include "support/train/tiny_logits.hpp"

namespace ferula {
namespace {

/// The texts that continue three prompts, as rank 0 has them.
std::vector<std::string> texts_of(const test::TinyRun& run) {
  std::vector<std::string> texts;
  on_tiny_ranks(run, test::tiny_dataset(), [&](test::TinyRank& rank) {
    const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer("bytes");
    TransformerDecoder decoder(rank.transformer, rank.execution);
    Generator generator(decoder, *tokenizer, {rank.rank.mesh.world(), rank.execution.communication}, {.seed = 3});
    std::vector<GenerationRequest> requests(3);
    for (std::size_t index = 0; index < requests.size(); ++index) {
      requests[index].max_new_tokens = 4 + static_cast<std::int64_t>(index);
      tokenizer->encode(std::string(index + 1, 'a'), requests[index].prompt);
    }
    for (const GenerationResult& result : generator.run(requests))
      if (rank.rank.mesh.rank() == 0) texts.push_back(result.text);
  });
  return texts;
}

TEST(FarMemory, GeneratesTheSameTexts) {
  for (const int ranks : {1, 2}) {
    const test::TinyRun run{.stage = 3, .shape = {.shard = ranks}};
    const std::vector<std::string> expected = texts_of(run);

    ASSERT_EQ(expected.size(), 3u);
    EXPECT_EQ(texts_of(far(run)), expected) << name_of_run(run);
  }
}

TEST(FarMemory, GeneratesTheSameBits) {
  for (const char* family : {"gpt2", "llama"}) {
    for (const int ranks : {1, 2}) {
      const test::TinyRun run{.family = family, .stage = 3, .shape = {.shard = ranks}};
      const std::vector<float> expected = logits_of(run);

      ASSERT_EQ(expected.size(), 3u * 256u);
      EXPECT_EQ(logits_of(far(run)), expected) << name_of_run(run);
    }
  }
}

}  // namespace
}  // namespace ferula
