// `ferula config` as a user meets it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(ConfigSystem, ReportsEveryMistakeAtOnceWithItsLine) {
  const Workplace workplace;
  workplace.write("bad.toml",
                  "[training]\n"
                  "stepz = 5\n"
                  "train_batch_size = -4\n"
                  "[zero_optimization]\n"
                  "stage = 7\n"
                  "[modle]\n"
                  "layers = 2\n");

  const Outcome outcome = workplace.ferula({"config", "check", "bad.toml", "--set", "optimizer.params.lr=fast"});

  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("bad.toml:2:"), HasSubstr("bad.toml:3:"), HasSubstr("bad.toml:5:"),
                                 HasSubstr("bad.toml:6:"), HasSubstr("--set")));
}

TEST(ConfigSystem, ReportsTheBatchWithTheOtherMistakes) {
  const Workplace workplace;
  workplace.write("bad.toml",
                  "[data]\ntext = \"a.txt\"\nsequence_lenght = 8\n"
                  "[training]\nsteps = 5\ntrain_batch_size = 7\n[fp16]\nenabled = true\n");

  for (const std::vector<std::string>& words : {std::vector<std::string>{"config", "check", "bad.toml", "--ranks", "2"},
                                                {"config", "show", "bad.toml", "--ranks", "2"},
                                                {"train", "bad.toml", "--dry-run", "--ranks-simulated", "2"}}) {
    const Outcome outcome = workplace.ferula(words);

    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("bad.toml:3:1:"), HasSubstr("bad.toml:6:20:"), HasSubstr("bad.toml:7:2:"),
                                   HasSubstr("train_batch_size = 8, train_micro_batch_size_per_gpu = 4")));
  }
}

TEST(ConfigSystem, FindsAGlobThatMatchesNoTensor) {
  const Workplace workplace;
  write_tiny_run(workplace, 10);

  EXPECT_EQ(workplace.ferula({"config", "check", "tiny.toml", "--set", "training.frozen=[\"blocks.0.*\"]"}).code, 0);
  const Outcome outcome = workplace.ferula({"config", "check", "tiny.toml", "--set", "training.frozen=[\"layers.*\"]",
                                            "--set", "optimizer.no_decay=[\"*nrom*\"]", "--set", "run.nmae=\"x\""});

  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("\"layers.*\", which matches none"), HasSubstr("\"*nrom*\""),
                                 HasSubstr("run.nmae"), HasSubstr("3 mistakes")));
}

TEST(ConfigSystem, ANewConfigurationHasNoMistakes) {
  const Workplace workplace;

  const Outcome written = workplace.ferula({"config", "new", "my.toml", "--set", "training.steps=700"});

  EXPECT_EQ(written.code, 0) << written.err;
  EXPECT_THAT(written.out, HasSubstr("next: ferula train my.toml\n"));

  EXPECT_EQ(workplace.ferula({"config", "check", "my.toml"}).code, 0);
  EXPECT_THAT(workplace.ferula({"config", "show", "my.toml"}).out, HasSubstr("training.steps"));
}

TEST(ConfigSystem, OptionsOfAnotherActionAreRefused) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"config", "--yes", "--print", "--set", "training.stpes=7"},
        {"config", "--yes", "--print", "--stage", "3"},
        {"config", "check", "tiny.toml", "--toml"},
        {"config", "keys", "--set", "training.steps=7"}}) {
    const Outcome outcome = workplace.ferula(words);

    EXPECT_EQ(outcome.code, 2) << words.back();
    EXPECT_THAT(outcome.err, testing::AnyOf(HasSubstr("the wizard takes answers, not this option"),
                                            HasSubstr("is not for `ferula config")));
  }
}

TEST(ConfigSystem, ANewConfigurationTakesTokensAndAShortRun) {
  const Workplace workplace;

  const Outcome written = workplace.ferula(
      {"config", "new", "my.toml", "--set", "data.tokens=corpus.h5", "--set", "training.steps=7", "--ranks", "2"});

  EXPECT_EQ(written.code, 0) << written.err;
  EXPECT_THAT(written.out, HasSubstr("next: ferula train my.toml --ranks 2\n"));
  const Outcome check = workplace.ferula({"config", "check", "my.toml", "--ranks", "2"});
  EXPECT_EQ(check.code, 0) << check.err;
}

TEST(ConfigSystem, ANewConfigurationReplacesNoFile) {
  const Workplace workplace;
  workplace.write("my.toml", "# mine\n");

  EXPECT_EQ(workplace.ferula({"config", "new", "my.toml"}).code, 2);

  EXPECT_EQ(workplace.read("my.toml"), "# mine\n");
}

TEST(ConfigSystem, ChecksTheBatchForTheNumberOfRanks) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);

  EXPECT_EQ(workplace.ferula({"config", "check", "tiny.toml", "--ranks", "3"}).code, 0);
  const Outcome five = workplace.ferula({"config", "check", "tiny.toml", "--ranks", "5"});

  EXPECT_EQ(five.code, 2);
  EXPECT_THAT(five.err, HasSubstr("train_batch_size"));
}

TEST(ConfigSystem, SpeaksOfTheRanksThatMpirunStarted) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);
  const auto on_two = [&](std::vector<std::string> words) {
    std::vector<std::string> all{"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n",
                                 "2",      FERULA_PROGRAM};
    all.insert(all.end(), words.begin(), words.end());
    return workplace.run(all);
  };

  const Outcome check = on_two({"config", "check", "tiny.toml"});
  const Outcome asked = on_two({"config", "check", "tiny.toml", "--ranks", "3"});
  const Outcome show = on_two({"config", "show", "tiny.toml"});
  const Outcome plan = on_two({"train", "tiny.toml", "--dry-run"});

  EXPECT_THAT(check.out, HasSubstr("on 2 rank(s) a step of 12 samples is 3 micro batches of 2")) << check.err;
  EXPECT_THAT(asked.out, HasSubstr("on 3 rank(s) a step of 12 samples is 2 micro batches of 2")) << asked.err;
  EXPECT_THAT(show.out, HasSubstr("12 = micro batch 2 · accumulation 3 · 2 data-parallel ranks")) << show.err;
  EXPECT_THAT(plan.out, AllOf(HasSubstr("2 ranks"), HasSubstr("2 a rank x 3 accumulated x 2 ranks"))) << plan.err;
}

TEST(ConfigSystem, ShowsWhereAValueComesFrom) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);

  const Outcome shown = workplace.run({"env", "FERULA_RUN__SEED=7", FERULA_PROGRAM, "config", "show", "tiny.toml",
                                       "--set", "zero_optimization.stage=3"});

  EXPECT_EQ(shown.code, 0);
  EXPECT_THAT(shown.out,
              AllOf(HasSubstr("tiny.toml:5"), HasSubstr("--set"), HasSubstr("environment"), HasSubstr("default")));
}

TEST(ConfigSystem, KeysAreListedAndFiltered) {
  const Workplace workplace;

  const Outcome all = workplace.ferula({"config", "keys"});
  const Outcome some = workplace.ferula({"config", "keys", "zero_optimization"});

  EXPECT_THAT(all.out, AllOf(HasSubstr("optimizer.params.lr"), HasSubstr("zero_optimization.stage")));
  EXPECT_THAT(some.out, testing::Not(HasSubstr("optimizer.params.lr")));
}

TEST(ConfigSystem, AWordThatNoKeyContainsIsAMistake) {
  const Workplace workplace;

  const Outcome far = workplace.ferula({"config", "keys", "zzz"});
  const Outcome near = workplace.ferula({"config", "keys", "sequence_lenght"});

  EXPECT_EQ(far.code, 2);
  EXPECT_THAT(far.err, HasSubstr("no key contains 'zzz'; `ferula config keys` lists all"));
  EXPECT_EQ(near.code, 2);
  EXPECT_THAT(near.err, HasSubstr("did you mean 'sequence_length'?"));
}

TEST(ConfigSystem, TheReferenceInDocsIsTheProgramsOwn) {
  const Workplace workplace;
  const Outcome keys = workplace.ferula({"config", "keys", "--markdown"});
  const Outcome docs = workplace.run({"cat", FERULA_SOURCE_DIR "/docs/configuration.md"});

  EXPECT_EQ(keys.out, docs.out) << "run: build/ferula config keys --markdown > docs/configuration.md";
}

TEST(ConfigSystem, EveryShippedConfigurationIsLegal) {
  const Workplace workplace;
  for (const auto& entry : std::filesystem::directory_iterator(FERULA_SOURCE_DIR "/configs"))
    if (entry.path().extension() == ".toml") {
      const Outcome outcome = workplace.ferula({"config", "check", entry.path().string(), "--ranks", "2"});
      EXPECT_EQ(outcome.code, 0) << entry.path() << "\n" << outcome.err;
    }
}

}  // namespace
}  // namespace ferula::system_tests
