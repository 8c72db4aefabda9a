// Models that transformers has saved, as a user brings them in: imported, judged, continued and trained further.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include <cmath>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

const std::filesystem::path kPublished = std::filesystem::path(FERULA_SOURCE_DIR) / "tests/oracles/golden/published";
const std::vector<std::string> kModels{"gpt2", "llama"};

/// Both models of tests/oracles/published.py, imported once for the suite.
class ImportSystem : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    workplace_ = std::make_unique<Workplace>();
    for (const std::string& name : kModels) {
      std::filesystem::copy(kPublished / name, workplace_->path() / name);
      ASSERT_EQ(ferula({"checkpoint", "import", name, imported(name)}).code, 0);
    }
    workplace_->write("tune.toml",
                      "[model]\npath = \"llama-imported\"\n[data]\ntext = [\"llama/tokens.txt\"]\n"
                      "sequence_length = 10\nvalidation_fraction = 0\n[training]\nsteps = 2\ntrain_batch_size = 3\n"
                      "train_micro_batch_size_per_gpu = 1\n[optimizer.params]\nlr = 0.01\n");
  }
  static void TearDownTestSuite() { workplace_.reset(); }
  static std::string imported(const std::string& name) { return name + "-imported"; }
  static Outcome ferula(const std::vector<std::string>& words) { return workplace_->ferula(words); }
  static Outcome train(std::vector<std::string> more) {
    more.insert(more.begin(), {"train", "tune.toml"});
    return ferula(more);
  }
  /// What the llama says of one window of ten tokens in training: the mean over the three windows of tokens.txt.
  static double loss_before_training() {
    const Outcome outcome = ferula({"evaluate", "--checkpoint", "llama-imported", "--text", "llama/tokens.txt", "--set",
                                    "data.sequence_length=10", "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return boost::json::parse(outcome.out).at("loss").as_double();
  }
  static inline std::unique_ptr<Workplace> workplace_;
};

/// ‖ours − theirs‖ / ‖theirs‖ as in tests/unit/train/oracle_test.cpp, which says why 1e-5.
TEST_F(ImportSystem, LogProbabilitiesAreThoseOfTransformers) {
  for (const std::string& name : kModels) {
    const Outcome outcome = ferula({"evaluate", "--checkpoint", imported(name), "--text", name + "/tokens.txt",
                                    "--logprobs", name + ".h5", "--ranks", "2", "--set", "zero_optimization.stage=3"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;

    const Outcome distance = workplace_->run({"/usr/bin/python3", "-c",
                                              "import h5py, numpy, sys\n"
                                              "ours = h5py.File(sys.argv[1])['logprobs'][1:].astype('f8')\n"
                                              "theirs = numpy.loadtxt(sys.argv[2])\n"
                                              "assert ours.shape == theirs.shape\n"
                                              "print(numpy.linalg.norm(ours - theirs) / numpy.linalg.norm(theirs))\n",
                                              name + ".h5", name + "/logprobs.txt"});
    ASSERT_EQ(distance.code, 0) << distance.err;
    EXPECT_LT(std::stod(distance.out), 1e-5) << name;
  }
}

TEST_F(ImportSystem, ContinuesIdsAlikeOnEveryLayout) {
  std::vector<std::string> words{"generate", "--checkpoint", imported("llama"),  "--prompt",
                                 "3 1 4",    "--greedy",     "--max-new-tokens", "8"};
  const Outcome alone = ferula(words);
  words.insert(words.end(), {"--ranks", "3", "--set", "zero_optimization.stage=3"});

  EXPECT_EQ(alone.code, 0) << alone.err;
  EXPECT_THAT(alone.out, StartsWith("3 1 4 "));
  EXPECT_EQ(ferula(words).out, alone.out);
}

TEST_F(ImportSystem, IsAnOrdinaryCheckpoint) {
  const Outcome verified = ferula({"checkpoint", "verify", imported("gpt2")});
  const Outcome shown = ferula({"checkpoint", "show", imported("gpt2")});

  EXPECT_EQ(verified.code, 0) << verified.err;
  EXPECT_THAT(shown.out, AllOf(HasSubstr("step 0"), HasSubstr("tokenizer = \"ids\"")));
}

TEST_F(ImportSystem, ARunStartsWhereTheModelIsOnEveryStage) {
  const double before = loss_before_training();
  for (const char* stage : {"0", "1", "2", "3"}) {
    const std::string name = std::string("stage") + stage;
    const Outcome outcome = train({"--ranks-simulated", "3", "--set", "run.name=" + name, "--set",
                                   std::string("zero_optimization.stage=") + stage});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("starts from the values of llama-imported"));
    const std::vector<double> losses = metric(*workplace_, name, "loss");
    EXPECT_NEAR(losses.front(), before, 1e-5 * before) << stage;
    EXPECT_LT(losses.back(), before) << stage;
  }
}

/// bf16 rounds each product by up to 2⁻⁹; their errors are of both signs, so the mean moves by far less than 1 %.
TEST_F(ImportSystem, ARunInBf16StartsThereToo) {
  const Outcome outcome = train({"--set", "run.name=narrow", "--set", "bf16.enabled=true"});

  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const double before = loss_before_training();
  EXPECT_NEAR(metric(*workplace_, "narrow", "loss").front(), before, 0.01 * before);
}

TEST_F(ImportSystem, ARunThatHasBegunNeedsTheModelNoMore) {
  ASSERT_EQ(train({"--set", "run.name=begun"}).code, 0);
  const std::filesystem::path model = workplace_->path() / "llama-imported", away = workplace_->path() / "away";
  std::filesystem::rename(model, away);
  const Outcome used = ferula({"generate", "--checkpoint", "runs/begun", "--prompt", "1", "--max-new-tokens", "2"});
  const Outcome refused = train({"--set", "run.name=begun", "--set", "training.steps=3"});
  const Outcome further =
      ferula({"train", "runs/begun/config.toml", "--set", "model.path=", "--set", "training.steps=3"});
  std::filesystem::rename(away, model);

  EXPECT_EQ(used.code, 0) << used.err;
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("RUN/config.toml --set model.path="));
  EXPECT_EQ(further.code, 0) << further.err;
  EXPECT_EQ(metric(*workplace_, "begun", "loss").size(), 3u);
}

TEST_F(ImportSystem, TokensOfAPythonScriptTrainIt) {
  const std::string script = (std::filesystem::path(FERULA_SOURCE_DIR) / "docs/token_file.py").string();
  ASSERT_EQ(workplace_->run({"/usr/bin/python3", script, "t.h5", "llama/tokens.txt"}).code, 0);

  const std::vector<std::string> tokens{"--ranks", "2",
                                        "--set",   "run.name=h5",
                                        "--set",   "data.text=[]",
                                        "--set",   "data.tokens=t.h5",
                                        "--set",   "training.train_batch_size=2"};
  const Outcome first = train(tokens);
  std::vector<std::string> again = tokens;
  again.insert(again.end(), {"--set", "training.steps=3"});

  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(train(again).code, 0) << "the same tokens, known by their digest";
  workplace_->write("foreign.ids", "1 2 61");
  ASSERT_EQ(workplace_->run({"/usr/bin/python3", script, "foreign.h5", "foreign.ids"}).code, 0);
  EXPECT_THAT(train({"--set", "run.name=more", "--set", "data.text=[]", "--set", "data.tokens=foreign.h5"}).err,
              HasSubstr("expected tokens of the tokenizer \"ids\" (vocabulary 61), found \"ids\" (62)"));
}

TEST_F(ImportSystem, LettersAreRefusedWhereIdsAreWanted) {
  workplace_->write("letters.txt", "once upon a time");

  EXPECT_THAT(ferula({"generate", "--checkpoint", "gpt2-imported", "--prompt", "Once"}).err,
              HasSubstr("prompt 1: expected the ids of tokens, numbers from 0 to 60"));
  EXPECT_THAT(ferula({"evaluate", "--checkpoint", "gpt2-imported", "--text", "letters.txt"}).err,
              HasSubstr("letters.txt: expected the ids"));
  EXPECT_EQ(ferula({"generate", "--checkpoint", "gpt2-imported", "--prompt", "1", "--stop", "2"}).code, 2);
}

TEST_F(ImportSystem, RefusalsLeaveNothing) {
  const Outcome again = ferula({"checkpoint", "import", "gpt2", "gpt2-imported"});
  const Outcome nowhere = ferula({"checkpoint", "import", "openai/gpt2", "new"});
  workplace_->write("other/config.json", "{\"architectures\": [\"OPTForCausalLM\"]}");
  const Outcome other = ferula({"checkpoint", "import", "other", "new"});
  const Outcome full = workplace_->run(
      {"sh", "-c", std::string("ulimit -f 40; exec ") + FERULA_PROGRAM + " checkpoint import gpt2 new"});

  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err, HasSubstr("gpt2-imported: expected a new folder"));
  EXPECT_THAT(nowhere.err, HasSubstr("hf download"));
  EXPECT_THAT(other.err, HasSubstr("OPTForCausalLM"));
  EXPECT_NE(full.code, 0);
  for (const char* name : {"new", "new.importing", "new.importing.lock"}) EXPECT_FALSE(workplace_->has(name)) << name;
  EXPECT_EQ(ferula({"checkpoint", "import", "gpt2", "new", "--dtype", "f16"}).code, 2);
}

}  // namespace
}  // namespace ferula::system_tests
