// The trigram model is a distribution, finds the entropy of sources that it can describe and trusts what it has seen.
#include "support/train/trigram.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/philox.hpp"

namespace ferula {
namespace {

using test::TrigramModel;

std::vector<std::int32_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

/// Bytes of a source in which each byte follows from the two before it but for a coin: one bit of entropy each.
std::vector<std::int32_t> coin_source(std::size_t count) {
  std::vector<std::int32_t> bytes{0, 1};
  while (bytes.size() < count) {
    const std::uint32_t coin = philox(3, 0, bytes.size())[0] >> 31;
    const std::int32_t mixed = bytes[bytes.size() - 2] * 5 + bytes.back() * 3;
    bytes.push_back((mixed + static_cast<std::int32_t>(coin)) % 16);
  }
  return bytes;
}

std::vector<std::int32_t> uniform_bytes(std::size_t count) {
  std::vector<std::int32_t> bytes;
  for (std::size_t index = 0; index < count; ++index)
    bytes.push_back(static_cast<std::int32_t>(philox(5, 0, index)[0] >> 24));
  return bytes;
}

double total(const TrigramModel& model, std::int32_t before, std::int32_t last) {
  double sum = 0.0;
  for (std::int32_t next = 0; next < 256; ++next) sum += model.probability(before, last, next);
  return sum;
}

TEST(Trigram, IsADistributionAfterAnyTwoBytes) {
  const TrigramModel model(bytes_of("the theory of the thing is that they think"));

  EXPECT_NEAR(total(model, 't', 'h'), 1.0, 1e-12);
  EXPECT_NEAR(total(model, 'z', 'h'), 1.0, 1e-12) << "a pair that never came";
  EXPECT_NEAR(total(model, 'h', 'z'), 1.0, 1e-12) << "a byte that never came";
  EXPECT_NEAR(total(model, 0, 255), 1.0, 1e-12);
}

TEST(Trigram, GivesEveryByteAChance) {
  const TrigramModel model(bytes_of("the theory of the thing is that they think"));

  EXPECT_GT(model.probability('t', 'h', 'e'), 0.2);
  EXPECT_GT(model.probability('t', 'h', 'q'), 0.0);
  EXPECT_LT(model.probability('t', 'h', 'q'), 1.0 / 256);
}

TEST(Trigram, FindsTheEntropyOfASourceOfItsOwnOrder) {
  const std::vector<std::int32_t> text = coin_source(80'000);
  const TrigramModel model(std::span<const std::int32_t>(text).first(60'000));

  // 256 histories with two outcomes: estimating their shares from 60,000 bytes costs 256 / (2 · 60,000) = 0.002 nats.
  EXPECT_NEAR(model.loss(text, 60'000), std::log(2.0), 0.01);
}

TEST(Trigram, NearlyFindsTheEntropyOfUniformBytes) {
  const std::vector<std::int32_t> text = uniform_bytes(15'000);
  const TrigramModel model(std::span<const std::int32_t>(text).first(12'000));

  // It has nothing to find. What its fitted weights take from noise must stay small, and nothing can do better.
  EXPECT_NEAR(model.loss(text, 12'000), std::log(256.0), 0.02);
}

TEST(Trigram, TrustsHistoriesTheMoreTheOftenerTheyCame) {
  std::vector<std::int32_t> text = coin_source(3000);
  const std::vector<std::int32_t> noise = uniform_bytes(3000);
  text.insert(text.end(), noise.begin(), noise.end());
  const TrigramModel model(text);

  EXPECT_LT(model.weight(3, 1), 0.5);
  EXPECT_GT(model.weight(3, 12), 0.8);
}

TEST(Trigram, WithoutTextKnowsNothing) {
  const TrigramModel model({});

  EXPECT_DOUBLE_EQ(model.probability(1, 2, 3), 1.0 / 256);
}

TEST(Trigram, RefusesTokensThatAreNoBytes) {
  EXPECT_THROW(TrigramModel(std::vector<std::int32_t>{1, 2, 256}), Error);
  EXPECT_THROW(TrigramModel(std::vector<std::int32_t>{1, -1, 2}), Error);
}

}  // namespace
}  // namespace ferula
