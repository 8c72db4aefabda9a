// What is done with a trained model: generate, evaluate and look at its checkpoints, on any layout.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

/// One trained run for all tests of this file.
class InferenceSystem : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    workplace_ = std::make_unique<Workplace>();
    write_tiny_run(*workplace_, 10);
    ASSERT_EQ(workplace_->ferula({"train", "tiny.toml", "--ranks", "2", "--set", "zero_optimization.stage=3"}).code, 0);
  }
  static void TearDownTestSuite() { workplace_.reset(); }
  static Outcome ferula(std::vector<std::string> words, const std::vector<std::string>& more = {}) {
    words.insert(words.end(), more.begin(), more.end());
    return workplace_->ferula(words);
  }
  static inline std::unique_ptr<Workplace> workplace_;
  static inline const std::vector<std::vector<std::string>> kLayouts{
      {"--ranks", "2"},
      {"--ranks", "3", "--set", "zero_optimization.stage=3"},
      {"--ranks-simulated", "2", "--set", "zero_optimization.stage=3"}};
};

TEST_F(InferenceSystem, WritesTheSameTextOnEveryLayout) {
  const std::vector<std::string> words{"generate", "--checkpoint", "runs/tiny", "--prompt",         "Line ", "--prompt",
                                       "A",        "--seed",       "7",         "--max-new-tokens", "20"};
  const Outcome alone = ferula(words);
  ASSERT_EQ(alone.code, 0) << alone.err;
  EXPECT_THAT(alone.out, StartsWith("Line "));

  for (const std::vector<std::string>& layout : kLayouts) EXPECT_EQ(ferula(words, layout).out, alone.out);
}

TEST_F(InferenceSystem, AnswersAFileOfPromptsInJson) {
  workplace_->write("prompts.jsonl", "{\"prompt\": \"Line 1\"}\n\"of a\"\n\"text\"\n");

  const Outcome outcome = ferula({"generate", "tiny.toml", "--prompts", "prompts.jsonl", "--json", "--greedy",
                                  "--max-new-tokens", "5", "--ranks", "2"});

  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 3);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("\"prompt\":\"of a\""), HasSubstr("\"finish_reason\":\"length\"")));
}

TEST_F(InferenceSystem, RefusesOptionsOutOfTheirRange) {
  const Outcome outcome = ferula({"generate", "tiny.toml", "--prompt", "x", "--top-p", "1.5"});

  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("1.5"));
  EXPECT_EQ(ferula({"generate", "tiny.toml"}).code, 2);
  EXPECT_EQ(ferula({"generate", "--prompt", "x"}).code, 2);
}

TEST_F(InferenceSystem, EvaluatesAlikeOnEveryLayout) {
  const std::vector<std::string> words{"evaluate", "--checkpoint", "runs/tiny", "--text", "text.txt"};
  const Outcome alone = ferula(words);
  ASSERT_EQ(alone.code, 0) << alone.err;
  EXPECT_THAT(alone.out, HasSubstr("perplexity"));

  for (const std::vector<std::string>& layout : kLayouts) EXPECT_EQ(ferula(words, layout).out, alone.out);
}

TEST_F(InferenceSystem, LogProbabilitiesAddUpToTheLoss) {
  const Outcome outcome =
      ferula({"evaluate", "tiny.toml", "--text", "text.txt", "--logprobs", "out.h5", "--json", "--ranks", "2"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;

  const Outcome checked =
      workplace_->run({"/usr/bin/python3", "-c",
                       "import h5py, json, numpy\n"
                       "f = h5py.File('out.h5'); p = f['logprobs'][1:].astype('f8'); t = f['tokens'][:]\n"
                       "assert bytes(t.astype('u1')) == open('text.txt', 'rb').read()\n"
                       "assert numpy.isnan(f['logprobs'][0]) and list(f['text_offsets']) == [0, len(t)]\n"
                       "loss = json.loads('''" +
                           outcome.out +
                           "''')['loss']\n"
                           "assert abs(-p.mean() - loss) < 1e-6 * loss, (p.mean(), loss)\n"});

  EXPECT_EQ(checked.code, 0) << checked.err;
}

TEST_F(InferenceSystem, ListsShowsAndVerifiesCheckpoints) {
  EXPECT_THAT(ferula({"checkpoint", "list", "runs/tiny"}).out, AllOf(HasSubstr("step-00000005"), HasSubstr("good")));
  EXPECT_THAT(ferula({"checkpoint", "show", "runs/tiny"}).out,
              AllOf(HasSubstr("step 10"), HasSubstr("exp_avg"), HasSubstr("[model]")));
  EXPECT_EQ(ferula({"checkpoint", "verify", "runs/tiny/checkpoints/step-00000005"}).code, 0);
}

TEST_F(InferenceSystem, VerifyNamesAFlippedByte) {
  const std::filesystem::path shard = workplace_->path() / "runs/tiny/checkpoints/step-00000005/shard-00000.h5";
  std::fstream file(shard, std::ios::in | std::ios::out | std::ios::binary);
  const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(shard) / 2);
  file.seekg(middle);
  const int byte = file.get();
  file.seekp(middle);
  file.put(static_cast<char>(byte ^ 1));
  file.close();

  const Outcome outcome = ferula({"checkpoint", "verify", "runs/tiny/checkpoints/step-00000005"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("shard-00000.h5"));
}

TEST_F(InferenceSystem, TokenizesAndTrainsFromTheTokenFile) {
  const Outcome tokens = ferula({"tokenize", "text.txt", "--out", "text.h5"});
  ASSERT_EQ(tokens.code, 0) << tokens.err;
  EXPECT_THAT(tokens.out, HasSubstr("1 document"));

  const Outcome run = ferula(
      {"train", "tiny.toml", "--set", "data.text=[]", "--set", "data.tokens=text.h5", "--set", "run.name=tokens"});

  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(metric(*workplace_, "tokens", "loss").size(), metric(*workplace_, "tiny", "loss").size());
}

TEST_F(InferenceSystem, TokenizeReplacesNoFileButATokenFile) {
  const std::string text = workplace_->read("text.txt");

  const Outcome slip = ferula({"tokenize", "text.txt", "--out", "text.txt"});

  EXPECT_EQ(slip.code, 2);
  EXPECT_THAT(slip.err, HasSubstr("nothing was written"));
  EXPECT_EQ(workplace_->read("text.txt"), text);
  EXPECT_EQ(ferula({"tokenize", "text.txt", "--out", "twice.h5"}).code, 0);
  EXPECT_EQ(ferula({"tokenize", "text.txt", "--out", "twice.h5"}).code, 0);
}

}  // namespace
}  // namespace ferula::system_tests
