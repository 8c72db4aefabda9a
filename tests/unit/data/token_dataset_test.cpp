// Windows of a token file: which tokens they hold, and where validation begins.
#include "data/token_dataset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.hpp"
#include "data/token_file_writer.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Dataset : public testing::Test {
 protected:
  /// A file whose token i is 1 + i, for at most 255 tokens.
  const TokenFile& file_of(std::int64_t tokens) {
    std::string text;
    for (std::int64_t i = 0; i < tokens; ++i) text += static_cast<char>(1 + i);
    const std::vector<std::string> patterns{folder_.write("text", text)};
    const auto tokenizer = make_tokenizer("bytes");
    write_token_file(*files_, folder_.path("tokens.h5"), survey_text(*files_, patterns, *tokenizer), *tokenizer,
                     "test");
    file_.emplace(*files_, folder_.path("tokens.h5"));
    return *file_;
  }
  std::vector<std::int32_t> tokens_ = std::vector<std::int32_t>(4);
  std::vector<std::int32_t> targets_ = std::vector<std::int32_t>(4);
  ScratchDirectory folder_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  std::optional<TokenFile> file_;
};

TEST_F(Dataset, WindowsDoNotOverlapAndAskForTheNextToken) {
  const TokenDataset dataset(file_of(11), 4, 0.0);

  EXPECT_EQ(dataset.samples(Split::training), 2);
  EXPECT_EQ(dataset.samples(Split::validation), 0);
  EXPECT_EQ(dataset.read(Split::training, 1, tokens_, targets_), 4);
  EXPECT_THAT(tokens_, ElementsAre(5, 6, 7, 8));
  EXPECT_THAT(targets_, ElementsAre(6, 7, 8, 9));
}

TEST_F(Dataset, KeepsTheEndForValidation) {
  const TokenDataset dataset(file_of(100), 4, 0.2);

  EXPECT_EQ(dataset.extent(Split::training), (TokenExtent{0, 80}));
  EXPECT_EQ(dataset.extent(Split::validation), (TokenExtent{80, 100}));
  EXPECT_EQ(dataset.samples(Split::training), 19);
  EXPECT_EQ(dataset.samples(Split::validation), 5);
}

TEST_F(Dataset, ValidationHasAtLeastOneWindow) {
  const TokenDataset dataset(file_of(50), 4, 0.001);

  EXPECT_EQ(dataset.extent(Split::validation), (TokenExtent{45, 50}));
  EXPECT_EQ(dataset.samples(Split::validation), 1);
}

TEST_F(Dataset, ValidationScoresEveryTokenButTheFirstOnce) {
  const TokenDataset dataset(file_of(57), 4, 0.3);
  std::multiset<std::int32_t> scored;

  for (std::int64_t sample = 0; sample < dataset.samples(Split::validation); ++sample) {
    const std::int64_t count = dataset.read(Split::validation, sample, tokens_, targets_);
    EXPECT_EQ(count, std::count_if(targets_.begin(), targets_.end(), [](auto target) { return target >= 0; }));
    for (const auto target : targets_) {
      if (target >= 0) scored.insert(target);
    }
  }

  const TokenExtent extent = dataset.extent(Split::validation);
  std::multiset<std::int32_t> expected;
  for (std::int64_t i = extent.begin + 1; i < extent.end; ++i) expected.insert(static_cast<std::int32_t>(1 + i));
  EXPECT_EQ(scored, expected);
}

TEST_F(Dataset, AShortLastWindowIsPadded) {
  const TokenDataset dataset(file_of(7), 4, 1.0);

  EXPECT_EQ(dataset.samples(Split::validation), 2);
  EXPECT_EQ(dataset.read(Split::validation, 1, tokens_, targets_), 2);
  EXPECT_THAT(tokens_, ElementsAre(5, 6, 0, 0));
  EXPECT_THAT(targets_, ElementsAre(6, 7, -1, -1));
}

TEST_F(Dataset, AFractionOfOneLeavesNothingForTraining) {
  const TokenDataset dataset(file_of(9), 4, 1.0);

  EXPECT_EQ(dataset.samples(Split::training), 0);
  EXPECT_EQ(dataset.samples(Split::validation), 2);
}

TEST_F(Dataset, TheShortestUsableTextHasOneSampleOfEach) {
  const TokenDataset dataset(file_of(10), 4, 0.01);

  EXPECT_EQ(dataset.samples(Split::training), 1);
  EXPECT_EQ(dataset.samples(Split::validation), 1);
}

TEST_F(Dataset, RefusesTextThatIsTooShort) {
  try {
    TokenDataset dataset(file_of(9), 4, 0.01);
    FAIL() << "expected DataError";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("tokens.h5"));
    EXPECT_THAT(error.what(), HasSubstr("expected at least 10 tokens"));
    EXPECT_THAT(error.what(), HasSubstr("found 9"));
  }
  EXPECT_THROW(TokenDataset(file_of(4), 4, 0.0), DataError);
  EXPECT_THROW(TokenDataset(file_of(1), 4, 1.0), DataError);
}

TEST_F(Dataset, SamplesBeyondTheEndAreOurMistake) {
  const TokenDataset dataset(file_of(11), 4, 0.0);

  EXPECT_THROW(dataset.read(Split::training, 2, tokens_, targets_), Error);
  EXPECT_THROW(dataset.read(Split::validation, 0, tokens_, targets_), Error);
}

}  // namespace
}  // namespace ferula
