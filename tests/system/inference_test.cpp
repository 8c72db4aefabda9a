// What is done with a trained model: generate, evaluate and look at its checkpoints, on any layout.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include <algorithm>
#include <set>
#include <sstream>

#include "trained_run.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class InferenceSystem : public TrainedRun {
 protected:
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

TEST_F(InferenceSystem, ShowsTheSameTextWhileItIsWritten) {
  const std::vector<std::string> words{
      "generate", "--checkpoint",     "runs/tiny", "--prompt",         "Line ", "--seed", "7", "--stop",
      "e",        "--min-new-tokens", "9",         "--max-new-tokens", "40"};
  const Outcome whole = ferula(words);
  ASSERT_EQ(whole.code, 0) << whole.err;

  EXPECT_EQ(ferula(words, {"--stream"}).out, whole.out);
  EXPECT_EQ(ferula(words, {"--stream", "--ranks", "2", "--set", "zero_optimization.stage=3"}).out, whole.out);
  EXPECT_THAT(ferula(words, {"--stream", "--json"}).err, HasSubstr("use one of them"));
  const Outcome two = ferula(words, {"--stream", "--prompt", "A"});
  EXPECT_EQ(two.code, 2);
  EXPECT_THAT(two.err, HasSubstr("--stream shows one text, found 2"));
}

TEST_F(InferenceSystem, WritesSeveralTextsOfAPromptAlikeOnEveryLayout) {
  const std::vector<std::string> words{"generate", "--checkpoint",     "runs/tiny", "--prompt",
                                       "Line ",    "--seed",           "7",         "--prompt",
                                       "A",        "--max-new-tokens", "20",        "--num-return-sequences",
                                       "3"};
  const Outcome alone = ferula(words);
  ASSERT_EQ(alone.code, 0) << alone.err;
  EXPECT_EQ(ferula(words, kLayouts.front()).out, alone.out);

  std::vector<std::pair<std::string, std::int64_t>> places;
  std::set<std::string> texts;
  std::istringstream lines(ferula(words, {"--json"}).out);
  for (std::string line; std::getline(lines, line);) {
    const boost::json::value text = boost::json::parse(line);
    places.emplace_back(text.at("prompt").as_string(), text.at("index").as_int64());
    texts.emplace(text.at("text").as_string());
  }
  EXPECT_THAT(places,
              testing::ElementsAre(testing::Pair("Line ", 0), testing::Pair("Line ", 1), testing::Pair("Line ", 2),
                                   testing::Pair("A", 0), testing::Pair("A", 1), testing::Pair("A", 2)));
  EXPECT_EQ(texts.size(), 6u);
  EXPECT_EQ(ferula(words, {"--greedy"}).code, 2);
}

TEST_F(InferenceSystem, AnswersAFileOfPromptsInJson) {
  workplace_->write("prompts.jsonl", "{\"prompt\": \"Line 1\"}\n\"of a\"\n\"text\"\n");

  const Outcome outcome = ferula({"generate", "tiny.toml", "--prompts", "prompts.jsonl", "--json", "--greedy",
                                  "--max-new-tokens", "5", "--ranks", "2"});

  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 3);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("\"prompt\":\"of a\""), HasSubstr("\"finish_reason\":\"length\"")));
}

TEST_F(InferenceSystem, CountsPromptsFromOneAndNamesThoseOfAFileByTheirLine) {
  workplace_->write("empty.jsonl", "\"of a\"\n\n\"\"\n");

  const Outcome outcome =
      ferula({"generate", "tiny.toml", "--prompt", "x", "--prompt", "", "--prompts", "empty.jsonl"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("prompt 2: expected at least one token"),
                                 HasSubstr("empty.jsonl:3: expected at least one token")));
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

TEST_F(InferenceSystem, AModelThatDivergedHasNoLossAndValidJson) {
  ASSERT_EQ(
      ferula({"train", "tiny.toml", "--set", "run.name=lost", "--set", "training.steps=1", "--set",
              "optimizer.params.lr=1e30", "--set", "data.validation_fraction=0", "--set", "training.evaluate_every=0"})
          .code,
      0);

  const Outcome json = ferula({"evaluate", "--checkpoint", "runs/lost", "--text", "text.txt", "--json"});
  const Outcome table = ferula({"evaluate", "--checkpoint", "runs/lost", "--text", "text.txt", "--ranks", "2"});

  EXPECT_EQ(json.code, 1);
  const boost::json::value score = boost::json::parse(json.out);
  for (const char* field : {"loss", "perplexity", "bits_per_byte"}) EXPECT_TRUE(score.at(field).is_null()) << field;
  EXPECT_THAT(json.err, AllOf(HasSubstr("expected a finite loss of text.txt, found nan"), HasSubstr("diverged")));
  EXPECT_EQ(table.code, 1);
  EXPECT_THAT(table.out, AllOf(HasSubstr("not finite"), Not(HasSubstr("nan"))));
  EXPECT_EQ(std::ranges::count(table.err, '\n'), 1) << table.err;
}

TEST_F(InferenceSystem, AnotherModelOrPrecisionIsRefusedByItsKey) {
  const Outcome precision =
      ferula({"generate", "--checkpoint", "runs/tiny", "--prompt", "x", "--set", "bf16.enabled=true", "--ranks", "2"});
  const Outcome size = ferula({"evaluate", "tiny.toml", "--text", "text.txt", "--set", "model.layers=3"});

  EXPECT_EQ(precision.code, 2);
  EXPECT_THAT(precision.err, AllOf(HasSubstr("bf16.enabled: was false, is true"), Not(HasSubstr("blocks."))));
  EXPECT_EQ(size.code, 2);
  EXPECT_THAT(size.err, AllOf(HasSubstr("model.layers: was 2, is 3"), HasSubstr("--checkpoint DIR")));
  EXPECT_EQ(ferula({"evaluate", "tiny.toml", "--text", "text.txt", "--set", "optimizer.type=SGD"}).code, 0)
      << "nobody trains here";
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
  EXPECT_THAT(ferula({"checkpoint", "list", "runs/tiny"}).out,
              AllOf(HasSubstr("step-00000005"), HasSubstr("complete\n"), HasSubstr("verify` compares the bytes"),
                    Not(HasSubstr("good"))));
  EXPECT_THAT(ferula({"checkpoint", "show", "runs/tiny"}).out,
              AllOf(HasSubstr("step 10"), HasSubstr("exp_avg"), HasSubstr("[model]")));
  EXPECT_EQ(ferula({"checkpoint", "verify", "runs/tiny/checkpoints/step-00000005"}).code, 0);
}

TEST_F(InferenceSystem, VerifyNamesAFlippedByte) {
  copy_run("flipped");
  flip_a_bit(workplace_->path() / "runs/flipped/checkpoints/step-00000005/shard-00000.h5");

  const Outcome outcome = ferula({"checkpoint", "verify", "runs/flipped/checkpoints/step-00000005"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, testing::ContainsRegex("shard-00000.h5: bytes .* are not what was written; elements of "
                                                  "[a-z_.0-9]+ .value 0 to [0-9]+.*, [0-9]+ more .--json names all"));
  EXPECT_EQ(std::ranges::count(outcome.out, '\n'), 1);  // a place, not each of the tensors that have a part in it

  const Outcome json = ferula({"checkpoint", "verify", "runs/flipped/checkpoints/step-00000005", "--json"});
  EXPECT_EQ(json.code, 1);
  const boost::json::value report = boost::json::parse(json.out);
  EXPECT_FALSE(report.at("good").as_bool());
  ASSERT_EQ(report.at("damages").as_array().size(), 1u);
  EXPECT_GT(report.at("damages").at(0).at("parts").as_array().size(), 6u);
}

TEST_F(InferenceSystem, AListWithADamagedCheckpointInventsNothingAndEndsWithOne) {
  copy_run("torn");
  std::filesystem::remove(workplace_->path() / "runs/torn/checkpoints/step-00000010/shard-00001.h5");

  const Outcome table = ferula({"checkpoint", "list", "runs/torn"});
  const Outcome json = ferula({"checkpoint", "list", "runs/torn", "--json"});

  EXPECT_EQ(table.code, 1);
  EXPECT_THAT(table.out, testing::ContainsRegex("step-00000010 +10 +- +- +- +.*shard-00001.h5"));
  EXPECT_THAT(table.err, HasSubstr("expected complete checkpoints, found 1 of 2 damaged"));
  EXPECT_EQ(json.code, 1);
  EXPECT_THAT(json.out, AllOf(HasSubstr("\"step\":10"), HasSubstr("\"bytes\":null,\"tokens\":null")));
  EXPECT_EQ(ferula({"checkpoint", "list", "runs/tiny"}).code, 0);
  EXPECT_EQ(ferula({"checkpoint", "list", "runs/nowhere"}).code, 1);
}

TEST_F(InferenceSystem, ARunWithADamagedNewestCheckpointIsNotVerifiedInSilence) {
  copy_run("cut");
  const std::string newest = "runs/cut/checkpoints/step-00000010";
  std::filesystem::remove(workplace_->path() / newest / "shard-00001.h5");

  const Outcome verified = ferula({"checkpoint", "verify", "runs/cut"});
  const Outcome json = ferula({"checkpoint", "verify", "runs/cut", "--json"});
  const Outcome shown = ferula({"checkpoint", "show", "runs/cut"});

  EXPECT_EQ(verified.code, 1);
  EXPECT_THAT(verified.out, AllOf(HasSubstr(newest + " is damaged: " + newest + "/shard-00001.h5"),
                                  HasSubstr("step-00000005: all ")));
  EXPECT_THAT(verified.err, HasSubstr("1 newer checkpoint is damaged"));
  EXPECT_EQ(json.code, 1);
  const boost::json::value report = boost::json::parse(json.out);
  EXPECT_FALSE(report.at("good").as_bool());
  ASSERT_EQ(report.at("newer_damaged").as_array().size(), 1u);
  EXPECT_EQ(report.at("newer_damaged").at(0).at("checkpoint").as_string(), newest);
  EXPECT_EQ(shown.code, 0);
  EXPECT_THAT(shown.out, StartsWith("runs/cut/checkpoints/step-00000005\n"));
  EXPECT_THAT(shown.err, AllOf(StartsWith("warning: "), HasSubstr(newest + "/shard-00001.h5")));
  EXPECT_EQ(ferula({"checkpoint", "show", "runs/tiny"}).err, "");
}

TEST_F(InferenceSystem, AListOfOneCheckpointIsThisOne) {
  const std::string older = "runs/tiny/checkpoints/step-00000005";
  std::filesystem::create_directories(workplace_->path() / "runs/half/checkpoints/step-00000007");

  const Outcome good = ferula({"checkpoint", "list", older});
  const Outcome damaged = ferula({"checkpoint", "list", "runs/half/checkpoints/step-00000007/", "--json"});

  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_THAT(good.out, testing::ContainsRegex(older + " +5 .*complete\n"));
  EXPECT_THAT(good.out, testing::Not(HasSubstr("step-00000010")));
  EXPECT_EQ(damaged.code, 1);
  EXPECT_THAT(damaged.out, AllOf(HasSubstr("\"step\":7,"), HasSubstr("MANIFEST.json")));
}

TEST_F(InferenceSystem, ARunWithADamagedNewestCheckpointAnswersFromTheOneBefore) {
  copy_run("hurt");
  const std::string newest = "runs/hurt/checkpoints/step-00000010";
  for (const char* shard : {"shard-00000.h5", "shard-00001.h5"}) flip_a_bit(workplace_->path() / newest / shard);
  const std::vector<std::string> generate{"generate", "--prompt", "Line ", "--greedy", "--max-new-tokens", "8"};
  const Outcome before = ferula(generate, {"--checkpoint", "runs/hurt/checkpoints/step-00000005"});

  for (const std::vector<std::string>& source :
       {std::vector<std::string>{"--checkpoint", "runs/hurt"},
        {"tiny.toml", "--set", "run.name=hurt"},
        {"--checkpoint", "runs/hurt", "--ranks", "3", "--set", "zero_optimization.stage=3"}}) {
    const Outcome outcome = ferula(generate, source);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, before.out);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("warning: "), HasSubstr(newest + "/shard-0000"),
                                   HasSubstr("; using step-00000005 instead\n")));
  }
  EXPECT_EQ(ferula(generate, {"--checkpoint", newest}).code, 1);
  for (const Outcome& outcome : {ferula(generate, {"--checkpoint", "runs/hurt", "--json"}),
                                 ferula({"evaluate", "--checkpoint", "runs/hurt", "--text", "text.txt", "--json"})})
    EXPECT_EQ(boost::json::parse(outcome.out).at("checkpoint").as_string(), "runs/hurt/checkpoints/step-00000005");
}

TEST_F(InferenceSystem, LogProbabilitiesGoToANewFileAlone) {
  const Outcome slip =
      ferula({"evaluate", "--checkpoint", "runs/tiny", "--text", "text.txt", "--logprobs", "text.txt"});

  EXPECT_EQ(slip.code, 2);
  EXPECT_THAT(slip.err, HasSubstr("expected a new file, found 'text.txt'"));
}

/// A limit on the size of files is a full disk that needs no root.
TEST_F(InferenceSystem, AFullDiskIsToldInPlainWordsAndLeavesNoHalfFile) {
  std::string text;
  for (int line = 0; line < 20000; ++line) text += "Line " + std::to_string(line) + " of a long text.\n";
  workplace_->write("long.txt", text);
  for (const std::string& words :
       {std::string("tokenize long.txt --out full.h5"),
        std::string("train tiny.toml --set run.name=full --set 'data.text=[\"long.txt\"]'"),
        std::string("train tiny.toml --set run.name=full --set 'data.text=[\"long.txt\"]' --ranks-simulated 2"),
        std::string("evaluate --checkpoint runs/tiny --text long.txt --logprobs full.h5")}) {
    const Outcome outcome = workplace_->run({"bash", "-c", "ulimit -f 64; exec " FERULA_PROGRAM " " + words});

    EXPECT_EQ(outcome.code, 3) << words << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("File too large; free space"), testing::Not(HasSubstr("errno")))) << words;
    for (const char* half : {"full.h5", "full.h5.partial", "runs/full/tokens.h5.partial"})
      EXPECT_FALSE(workplace_->has(half)) << words << half;
  }
  EXPECT_THAT(workplace_->read("runs/full/summary.json"), HasSubstr("failed: "));
}

TEST_F(InferenceSystem, AMissingTextIsNamedByWhatTheUserGave) {
  const Outcome evaluated = ferula({"evaluate", "--checkpoint", "runs/tiny", "--text", "nofile"});
  const Outcome tokenized = ferula({"tokenize", "nothing", "--out", "d.h5"});

  EXPECT_EQ(evaluated.code, 1);
  EXPECT_THAT(evaluated.err, AllOf(HasSubstr("readable text for --text, found"), HasSubstr("nofile: no such file")));
  EXPECT_EQ(tokenized.code, 1);
  EXPECT_THAT(tokenized.err,
              AllOf(HasSubstr("readable text for `ferula tokenize`, found"), HasSubstr("nothing: no such")));
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

  std::filesystem::resize_file(workplace_->path() / "twice.h5", 3000);
  const Outcome cut = ferula({"tokenize", "text.txt", "--out", "twice.h5"});
  EXPECT_EQ(cut.code, 2);
  EXPECT_THAT(cut.err, HasSubstr("'twice.h5', which is damaged or something else; nothing was written: remove it"));
}

}  // namespace
}  // namespace ferula::system_tests
