// The sampler's distributions against the processors of transformers: the numbers of tests/oracles/rules.py.
#include <gtest/gtest.h>

#include <cmath>
#include <span>

#include "generate/sampler.hpp"
#include "support/train/golden_file.hpp"

namespace ferula {
namespace {

using test::read_whole;

constexpr std::size_t kVocabulary = 61;

/// The columns of rules.py.
SamplingOptions options_of(std::span<const double> row) {
  return {.temperature = row[1], .top_k = std::llround(row[2]), .top_p = row[3], .repetition_penalty = row[0]};
}

TEST(SamplerOracle, DrawsFromTheDistributionsOfTransformers) {
  const Hdf5File golden = test::open_golden("rules");
  const std::vector<float> logits = read_whole<float>(golden, "/sampling/logits");
  const std::vector<std::int32_t> history = read_whole<std::int32_t>(golden, "/sampling/history");
  const std::vector<double> options = read_whole<double>(golden, "/sampling/options");
  const std::vector<double> theirs = read_whole<double>(golden, "/sampling/probabilities");
  const std::size_t rows = logits.size() / kVocabulary, cases = options.size() / 4;
  ASSERT_EQ(theirs.size(), cases * rows * kVocabulary);

  for (std::size_t index = 0; index < cases; ++index) {
    Sampler sampler(options_of(std::span(options).subspan(index * 4, 4)), kVocabulary);
    for (std::size_t row = 0; row < rows; ++row) {
      const std::vector<double> ours =
          sampler.probabilities(std::span(logits).subspan(row * kVocabulary, kVocabulary), history);
      const auto expected = std::span(theirs).subspan((index * rows + row) * kVocabulary, kVocabulary);
      for (std::size_t token = 0; token < kVocabulary; ++token) {
        // Both sides compute in f64; what was cut is exactly zero on both.
        EXPECT_NEAR(ours[token], expected[token], 1e-12 * expected[token])
            << "case " << index << ", row " << row << ", token " << token;
      }
    }
  }
}

}  // namespace
}  // namespace ferula
