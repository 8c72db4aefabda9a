// Bytes to tokens and back, and the words that are refused.
#include "data/tokenizer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/error.hpp"

namespace ferula {
namespace {

TEST(ByteTokenizer, RoundTripsEveryByte) {
  const auto tokenizer = make_tokenizer("bytes");
  std::string text(256, '\0');
  std::iota(text.begin(), text.end(), '\0');

  std::vector<std::int32_t> tokens;
  tokenizer->encode(text, tokens);

  std::vector<std::int32_t> expected(256);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(tokens, expected);
  EXPECT_EQ(tokenizer->decode(tokens), text);
}

TEST(ByteTokenizer, AppendsToWhatIsThere) {
  const auto tokenizer = make_tokenizer("bytes");
  std::vector<std::int32_t> tokens{7};

  tokenizer->encode("A\xc3", tokens);
  tokenizer->encode("", tokens);

  EXPECT_THAT(tokens, testing::ElementsAre(7, 65, 0xc3));
}

TEST(ByteTokenizer, SaysWhatItIs) {
  const auto tokenizer = make_tokenizer("bytes");

  EXPECT_EQ(tokenizer->name(), "bytes");
  EXPECT_EQ(tokenizer->vocabulary(), 256);
}

TEST(ByteTokenizer, RefusesIdsOutsideTheVocabulary) {
  const auto tokenizer = make_tokenizer("bytes");

  EXPECT_THROW(tokenizer->decode(std::vector<std::int32_t>{1, 256}), DataError);
  EXPECT_THROW(tokenizer->decode(std::vector<std::int32_t>{-1}), DataError);
}

TEST(MakeTokenizer, NamesTheUnknownWord) {
  try {
    make_tokenizer("words");
    FAIL() << "expected ConfigError";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("\"words\""));
    EXPECT_EQ(error.code(), ExitCode::usage);
  }
}

}  // namespace
}  // namespace ferula
