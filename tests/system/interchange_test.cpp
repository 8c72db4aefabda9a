// `ferula config import`, `export` and the shortcuts of `new`, as a user meets them; completion and man pages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kFile =
    "{ // for four ranks\n"
    " \"train_batch_size\": 32, \"train_micro_batch_size_per_gpu\": 4, \"gradient_accumulation_steps\": 2,\n"
    " \"zero_optimization\": {\"stage\": 2, \"reduce_bucket_size\": 5e8, \"offload_param\": {\"device\": "
    "\"cpu\"}},\n"
    " \"stepz\": 1\n"
    "}\n";

TEST(InterchangeSystem, ImportWritesAConfigurationAndListsEveryKey) {
  const Workplace workplace;
  workplace.write("ds.json", kFile);

  const Outcome imported = workplace.ferula({"config", "import", "ds.json"});

  EXPECT_EQ(imported.code, 0) << imported.err;
  EXPECT_THAT(imported.out, AllOf(HasSubstr("line 2    train_batch_size"), HasSubstr("training.train_batch_size = 32"),
                                  HasSubstr("known, but NOT SUPPORTED"),
                                  HasSubstr("UNKNOWN, and not taken over:\n"
                                            "  line 4    stepz"),
                                  HasSubstr("next: ferula config check ds.toml --ranks 4")));
  EXPECT_EQ(workplace.ferula({"config", "check", "ds.toml", "--ranks", "4"}).code, 0);
}

TEST(InterchangeSystem, ImportOverwritesNothing) {
  const Workplace workplace;
  workplace.write("ds.json", kFile);
  workplace.write("mine.toml", "mine");

  const Outcome outcome = workplace.ferula({"config", "import", "ds.json", "mine.toml"});

  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("'mine.toml' exists already"));
  EXPECT_EQ(workplace.read("mine.toml"), "mine");
}

TEST(InterchangeSystem, ImportNamesTheLineOfWhatIsWrong) {
  const Workplace workplace;
  workplace.write("type.json", "{\"zero_optimization\":\n {\"stage\": \"two\"}}");
  workplace.write(
      "batch.json",
      "{\"train_batch_size\": 7,\n \"train_micro_batch_size_per_gpu\": 2, \"gradient_accumulation_steps\": 2}");
  workplace.write("empty.yaml", " \n");

  EXPECT_THAT(workplace.ferula({"config", "import", "type.json"}).err, HasSubstr("type.json:2:12: "));
  EXPECT_THAT(workplace.ferula({"config", "import", "batch.json"}).err,
              AllOf(HasSubstr("batch.json:1:22: "), HasSubstr("at batch.json:2:36"), Not(HasSubstr("preset"))));
  EXPECT_THAT(workplace.ferula({"config", "import", "empty.yaml"}).err, HasSubstr("is empty"));
  EXPECT_THAT(workplace.ferula({"config", "import", "none.yaml"}).err, HasSubstr("cannot be read: No such file"));
  EXPECT_FALSE(workplace.has("type.toml") || workplace.has("batch.toml") || workplace.has("empty.toml"));
}

TEST(InterchangeSystem, ExportWritesDeepSpeedsFile) {
  const Workplace workplace;
  write_tiny_run(workplace, 10);

  const Outcome printed = workplace.ferula({"config", "export", "tiny.toml", "--set", "zero_optimization.stage=3"});
  const Outcome written = workplace.ferula({"config", "export", "tiny.toml", "ds.json"});

  EXPECT_THAT(printed.out, AllOf(HasSubstr("\"stage\": 3"), Not(HasSubstr("data"))));
  EXPECT_THAT(printed.err, HasSubstr("data.text has no key in DeepSpeed's file"));
  EXPECT_EQ(written.code, 0) << written.err;
  EXPECT_EQ(workplace.ferula({"config", "import", "ds.json"}).code, 0);
  EXPECT_EQ(workplace.ferula({"config", "check", "ds.toml"}).code, 0);
}

TEST(InterchangeSystem, NewTakesDeepSpeedsWishes) {
  const Workplace workplace;

  EXPECT_EQ(workplace
                .ferula({"config", "new", "a.toml", "--stage", "3", "--bf16", "--train-batch-size", "16",
                         "--micro-batch-size", "2", "--offload-optimizer", "cpu"})
                .code,
            0);
  const Outcome refused = workplace.ferula({"config", "new", "b.toml", "--offload-optimizer", "nvme"});

  EXPECT_THAT(workplace.read("a.toml"),
              AllOf(HasSubstr("\nstage = 3\n"), HasSubstr("\ntrain_batch_size = 16\n"),
                    HasSubstr("\n[zero_optimization.offload_optimizer]\n"), HasSubstr("\ndevice = \"cpu\"\n")));
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("feature that does not exist yet"));
}

TEST(InterchangeSystem, NewWritesWhatDeepSpeedCallsEachStage) {
  const Workplace workplace;
  const auto exported = [&](const std::string& stage) {
    const std::string file = "stage-" + stage + ".toml";
    EXPECT_EQ(workplace
                  .ferula({"config", "new", file, "--stage", stage, "--bf16", "--train-batch-size", "32",
                           "--micro-batch-size", "8", "--accumulation", "1", "--ranks", "4"})
                  .code,
              0);
    return workplace.ferula({"config", "export", file, "--ranks", "4"}).out;
  };

  for (const std::string stage : {"0", "1", "2", "3"})
    EXPECT_THAT(exported(stage),
                AllOf(testing::StartsWith("{\n  \"train_batch_size\": 32,\n  \"train_micro_batch_size_per_gpu\": 8,\n"
                                          "  \"gradient_accumulation_steps\": 1,\n"),
                      HasSubstr("\"bf16\": {\n    \"enabled\": true\n  }"),
                      HasSubstr("\"zero_optimization\": {\n    \"stage\": " + stage + ",\n")));
}

TEST(InterchangeSystem, CompletionIsForThreeShells) {
  const Workplace workplace;

  EXPECT_THAT(workplace.ferula({"--completion", "bash"}).out, HasSubstr("complete -o default -F _ferula ferula"));
  EXPECT_THAT(workplace.ferula({"--completion", "zsh"}).out, HasSubstr("#compdef ferula"));
  EXPECT_THAT(workplace.ferula({"--completion", "fish"}).out, HasSubstr("-l max-new-tokens -r"));
  EXPECT_THAT(workplace.ferula({"--completion", "tcsh"}).err, HasSubstr("expected bash, zsh or fish, found 'tcsh'"));
}

TEST(InterchangeSystem, ManPagesAreWithoutWarnings) {
  const Workplace workplace;

  ASSERT_EQ(workplace.ferula({"--man-pages", "man"}).code, 0);
  const Outcome groff = workplace.run({"sh", "-c", "for page in man/*.1; do groff -K utf8 -man -ww -z $page; done"});

  EXPECT_TRUE(workplace.has("man/ferula-config.1"));
  EXPECT_THAT(groff.err, IsEmpty());
}

}  // namespace
}  // namespace ferula::system_tests
