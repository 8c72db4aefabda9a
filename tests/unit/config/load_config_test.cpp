// Layers, precedence, provenance, conversions, and that all mistakes come at once.
#include "config/load_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "config_fixture.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;

TEST(LoadConfig, LaterLayersWin) {
  const std::string text = kSmallest + "[model]\nlayers = 2\nwidth = 64\nheads = 2\n";
  const Environment environment = {{"FERULA_MODEL__LAYERS", "3"}, {"FERULA_MODEL__WIDTH", "128"}, {"PATH", "/bin"}};

  const LoadedConfig loaded = load(text, {"model.width=256"}, environment);

  EXPECT_EQ(loaded.config.model.heads, 2);
  EXPECT_EQ(loaded.config.model.layers, 3);
  EXPECT_EQ(loaded.config.model.width, 256);
  EXPECT_EQ(loaded.config.model.context, Config().model.context);
}

TEST(LoadConfig, KnowsTheSourceOfEachValue) {
  const std::string text = kSmallest + "[model]\nlayers = 2\nkv_heads = \"auto\"\n";

  const LoadedConfig loaded = load(text, {"run.seed=7"}, {{"FERULA_RUN__NAME", "x"}});

  EXPECT_EQ(loaded.sources.at("model.layers").in_words(), "test.toml:7");
  EXPECT_EQ(loaded.sources.at("model.kv_heads").in_words(), "test.toml:8");
  EXPECT_EQ(loaded.sources.at("run.seed").in_words(), "--set");
  EXPECT_EQ(loaded.sources.at("run.name").in_words(), "environment FERULA_RUN__NAME");
  EXPECT_EQ(loaded.sources.at("model.width").in_words(), "default");
}

TEST(LoadConfig, ReadsEveryFormOfASection) {
  const std::string tables = kSmallest + "[optimizer]\ntype = \"SGD\"\n[optimizer.params]\nmomentum = 0.5\n";
  const std::string inline_table = kSmallest + "[optimizer]\ntype = \"SGD\"\nparams = { momentum = 0.5 }\n";
  const std::string dotted = "optimizer.type = \"SGD\"\noptimizer.params.momentum = 0.5\n" + kSmallest;

  for (const std::string& text : {tables, inline_table, dotted}) {
    EXPECT_EQ(load(text).config.optimizer.params.momentum, 0.5) << text;
  }
  EXPECT_EQ(load(kSmallest, {"optimizer={type=\"SGD\", params={momentum=0.5}}"}).config.optimizer.params.momentum, 0.5);
}

TEST(LoadConfig, TakesIntegralFloatsForIntegers) {
  const Config config =
      load(kSmallest + "[zero_optimization]\nstage3_prefetch_bucket_size = 5e8\nstage = 2.0\n").config;

  EXPECT_EQ(config.zero_optimization.stage3_prefetch_bucket_size.get(), 500'000'000);
  EXPECT_EQ(config.zero_optimization.stage, 2);
  EXPECT_EQ(mistakes_of(kSmallest + "[zero_optimization]\nstage = 1.5\n").size(), 1u);
}

TEST(LoadConfig, TakesOneStringForAListAndAnIntegerForShardSize) {
  const Config config = load(kSmallest, {"data.text=book.txt", "zero_optimization.shard_size=4"}).config;

  EXPECT_EQ(config.data.text, std::vector<std::string>{"book.txt"});
  EXPECT_EQ(config.zero_optimization.shard_size, "4");
}

TEST(LoadConfig, SetTakesANumberWhereATextIsWanted) {
  EXPECT_EQ(load(kSmallest, {"run.name=2024"}).config.run.name, "2024");
  EXPECT_EQ(load(kSmallest, {"run.name=a=b"}).config.run.name, "a=b");
}

TEST(LoadConfig, ReportsEveryMistakeOfEveryLayerInOrder) {
  const std::string text =
      "[run]\nsead = 1\n[model]\nlayers = \"six\"\nwidth = -1\n[data]\ntext = [1]\n[training]\nsteps = 0\n"
      "train_batch_size = 8\n[fp16]\nenabled = true\n[zero]\nstage = 1\n";

  const auto mistakes = mistakes_of(text, {"bf16.enabled=perhaps", "nonsense"}, {{"FERULA_RUN__SEEDS", "1"}});

  std::vector<std::string> found;
  for (const ConfigMistake& mistake : mistakes) found.push_back(mistake.where.label() + " " + mistake.key);
  EXPECT_EQ(found, (std::vector<std::string>{
                       "test.toml:2:1 run.sead", "test.toml:4:10 model.layers", "test.toml:5:9 model.width",
                       "test.toml:7:8 data.text", "test.toml:9:9 training.steps", "test.toml:11:2 fp16",
                       "test.toml:13:2 zero", "environment run.seeds", "--set nonsense", "--set bf16.enabled"}));
}

TEST(LoadConfig, ShowsLineUnderlineExpectationAndFix) {
  const auto mistakes = mistakes_of(kSmallest + "[model]\n\tlayrs = 3\nwidth = \"w\"\n");

  EXPECT_EQ(shown(mistakes),
            "test.toml:7:2: unknown key 'model.layrs'\n"
            " 7 | \tlayrs = 3\n"
            "   | \t^^^^^\n"
            "   fix: did you mean 'model.layers'?\n"
            "test.toml:8:9: model.width: expected an integer from 2 to 16777216, found the string \"w\"\n"
            " 8 | width = \"w\"\n"
            "   |         ^^^\n"
            "   fix: `ferula config keys model.width` explains it: Size of the residual stream.\n");
}

TEST(LoadConfig, ShowsTheValueOfASet) {
  const auto mistakes = mistakes_of(kSmallest, {"model.layers=x"});

  EXPECT_THAT(shown(mistakes), HasSubstr("  | model.layers=x\n  |              ^\n"));
}

TEST(LoadConfig, SaysWhereAMisplacedKeyBelongs) {
  const auto mistakes = mistakes_of("gradient_clipping = 1.0\n" + kSmallest);

  ASSERT_EQ(mistakes.size(), 1u);
  EXPECT_EQ(mistakes[0].fix, "'gradient_clipping' stands under [training]");
}

TEST(LoadConfig, NoticesAVariableWithOneUnderscore) {
  const auto mistakes = mistakes_of(kSmallest, {}, {{"FERULA_TRAINING_STEPS", "5"}, {"FERULA_OTHER", "1"}});

  ASSERT_EQ(mistakes.size(), 1u);
  EXPECT_THAT(mistakes[0].fix, HasSubstr("FERULA_TRAINING__STEPS"));
}

TEST(LoadConfig, NoticesAVariableWithoutItsSection) {
  const auto mistakes = mistakes_of(
      kSmallest, {},
      {{"FERULA_SEED", "5"}, {"FERULA_TRAINIG_STEPS", "3"}, {"FERULA_TRAINING", "3"}, {"FERULA_HOME", "/"}});

  ASSERT_EQ(mistakes.size(), 3u);
  EXPECT_THAT(mistakes[0].fix, HasSubstr("FERULA_RUN__SEED"));
  EXPECT_THAT(mistakes[1].fix, HasSubstr("FERULA_TRAINING__STEPS"));
  EXPECT_THAT(mistakes[2].fix, HasSubstr("FERULA_TRAINING__"));
}

TEST(LoadConfig, TakesNoBrokenTomlForAWord) {
  for (const std::string set :
       {"data.text=[\"a.txt\", \"b.txt\"", "optimizer.params={lr=1e-4, lr=2}", "run.name=\"x"}) {
    const auto mistakes = mistakes_of(kSmallest, {set});

    ASSERT_EQ(mistakes.size(), 1u) << set;
    EXPECT_THAT(mistakes[0].message, HasSubstr("begins as one and is none")) << set;
  }
  EXPECT_EQ(load(kSmallest, {"data.text=[ab]*.txt"}).config.data.text, std::vector<std::string>{"[ab]*.txt"});
}

TEST(LoadConfig, SaysWhyAFileIsNoConfiguration) {
  const ScratchDirectory scratch;
  const auto why = [](const std::string& path) {
    try {
      read_config_text(path);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };

  EXPECT_THAT(why(scratch.path()), HasSubstr("is a folder"));
  EXPECT_THAT(why(scratch.path("absent.toml")), HasSubstr("No such file"));
  EXPECT_THAT(why(scratch.write("empty.toml", " \n")), HasSubstr("is empty"));
}

TEST(LoadConfig, RefusesUnreadableArgumentsAndVariables) {
  const auto mistakes =
      mistakes_of(kSmallest, {"run.name=\xFF", "run.name=" + std::string(70, '[')}, {{"FERULA_RUN__NAME", "\xFF"}});

  EXPECT_EQ(mistakes.size(), 3u);
}

TEST(LoadConfig, ReadsTheProcessEnvironment) {
  ASSERT_EQ(setenv("FERULA_RUN__NAME", "from-the-environment", 1), 0);
  const Environment environment = ferula_environment();
  unsetenv("FERULA_RUN__NAME");

  EXPECT_EQ(load(kSmallest, {}, environment).config.run.name, "from-the-environment");
}

TEST(LoadConfig, NamesAFileThatCannotBeRead) {
  for (const std::string& path : {std::string("/nowhere/x.toml"), source_root().string()}) {
    try {
      load_config(path, {}, {});
      FAIL() << path;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr(path));
      EXPECT_EQ(error.code(), ExitCode::usage);
    }
  }
}

}  // namespace
}  // namespace ferula
