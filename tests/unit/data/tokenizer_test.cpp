// Bytes to tokens and back, and the words that are refused.
#include "data/tokenizer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/error.hpp"
#include "data/text_corpus.hpp"
#include "support/message_of.hpp"

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

std::string refusal_of(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<std::int32_t> tokens;
  return test::message_of<DataError>([&] { tokenizer.encode(text, tokens); });
}

TEST(IdTokenizer, ReadsNumbersAndWritesThem) {
  const auto tokenizer = make_tokenizer("ids", 50257);
  std::vector<std::int32_t> tokens{9};

  tokenizer->encode(" 0, 50256\n\t7,,8\r\n", tokens);

  EXPECT_THAT(tokens, testing::ElementsAre(9, 0, 50256, 7, 8));
  EXPECT_EQ(tokenizer->decode(tokens), " 9 0 50256 7 8");
  EXPECT_EQ(tokenizer->vocabulary(), 50257);
}

TEST(IdTokenizer, RefusesWhatIsNoIdOfTheModel) {
  const auto tokenizer = make_tokenizer("ids", 61);

  for (const char* text : {"The", "61", "-1", "1.5", "0x1", "99999999999", "7\xc3"})
    EXPECT_THAT(refusal_of(*tokenizer, text), testing::HasSubstr("numbers from 0 to 60")) << text;
}

TEST(PieceEncoder, KnowsNumbersThatWereCut) {
  const auto tokenizer = make_tokenizer("ids", 1'000'000);
  const std::string text = "123 4567, 89\n123456";
  std::vector<std::int32_t> whole;
  tokenizer->encode(text, whole);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    PieceEncoder encoder(*tokenizer);
    std::vector<std::int32_t> tokens;

    for (const std::string& piece : {text.substr(0, cut), text.substr(cut)}) encoder.encode(piece, tokens);
    encoder.finish(tokens);

    EXPECT_EQ(tokens, whole) << cut;
  }
}

TEST(PieceEncoder, DoesNotKeepAWholeTextThatHoldsNoIds) {
  const auto tokenizer = make_tokenizer("ids", 10);
  PieceEncoder encoder(*tokenizer);
  std::vector<std::int32_t> tokens;
  encoder.encode(std::string(5000, 'x'), tokens);

  EXPECT_THROW(encoder.encode(std::string(5000, 'x'), tokens), DataError);
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
