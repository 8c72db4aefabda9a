// The wizard's walk through its table, without a terminal.
#include "app/wizard/wizard.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "config/config_text.hpp"
#include "wizard_fixture.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// Answers the named questions, the others as usual; fails where one is not asked.
void answer_all(Wizard& wizard, Answers answers) {
  while (const Question* question = wizard.question()) {
    const auto found = answers.find(question->id);
    ASSERT_EQ(wizard.answer(found == answers.end() ? "" : found->second), "") << question->id;
    if (found != answers.end()) answers.erase(found);
  }
  for (const auto& [id, answer] : answers) ADD_FAILURE() << id << " was not asked";
}

std::vector<std::string> asked(const Wizard& wizard) {
  std::vector<std::string> names;
  for (const WizardStep& step : wizard.steps()) names.emplace_back(step.question->id);
  return names;
}

TEST(WizardQuestions, HaveNamesOfTheirOwnHelpAndOneEffect) {
  std::set<std::string_view> names;
  for (const Question& each : wizard_questions()) {
    EXPECT_TRUE(names.insert(each.id).second) << each.id;
    EXPECT_FALSE(each.prompt.empty() || each.help.empty() || each.section.empty()) << each.id;
    EXPECT_EQ(each.matters == nullptr, each.when.empty()) << each.id << ": its condition is to be said in words";
    EXPECT_TRUE(each.usual != nullptr || !each.key.empty()) << each.id;
  }
}

TEST(Wizard, AsksAtMostNineQuestionsOnTheCommonPath) {
  for (const WizardFacts& facts :
       {cluster_facts(), prometheus_facts(), machine_facts(0), machine_facts(1), machine_facts(8)}) {
    Wizard wizard(facts);
    EXPECT_EQ(wizard.take_usual(), nullptr);
    EXPECT_LE(wizard.steps().size(), 9u) << testing::PrintToString(asked(wizard));
    EXPECT_EQ(mistakes_in(wizard), "");
  }
}

TEST(Wizard, WritesWhatWasAnswered) {
  const WizardFacts facts = cluster_facts();
  Wizard wizard(facts);

  answer_all(wizard, {{"num_gpus", "16"}, {"zero_stage", "3"}, {"mixed_precision", "no"}, {"steps", "77"}});

  const Config config = wizard.outcome().resolved();
  EXPECT_EQ(config.run.device, "cuda");
  EXPECT_EQ(config.run.name, "train");
  EXPECT_EQ(config.training.steps.get(), 77);
  EXPECT_EQ(config.zero_optimization.stage, 3);
  EXPECT_FALSE(config.bf16.enabled.get());
  EXPECT_EQ(config.data.text, std::vector<std::string>{"data/*.txt"});
  EXPECT_EQ(wizard.outcome().machines(), 2) << "nodes of defq have eight GPUs";
  EXPECT_EQ(wizard.outcome().room().place, "RTX A5000");
}

TEST(Wizard, KnowsTheCardsOfAPartition) {
  WizardFacts facts = cluster_facts();
  const auto room_on = [&](const std::string& card) {
    facts.partitions.front().card = card;
    const Wizard wizard(facts);
    return wizard.steps()[3].question->id == "card" ? "asked" : wizard.outcome().room().place;
  };

  EXPECT_EQ(room_on("nvidia_rtx_a5000"), "RTX A5000");
  EXPECT_EQ(room_on("rtx_6000_ada"), "RTX 6000 Ada");
  EXPECT_EQ(room_on("a100-sxm4-80gb"), "A100 80 GB");
  EXPECT_EQ(room_on("NVIDIA_A100-PCIE-40GB"), "A100 40 GB");
  EXPECT_EQ(room_on("a100"), "asked") << "there are two";
  EXPECT_EQ(room_on("b9000"), "asked");
}

TEST(Wizard, AsksForTheShapeOfACustomModelAlone) {
  const WizardFacts facts = machine_facts(1);
  Wizard wizard(facts);

  answer_all(wizard, {{"model", "custom"},
                      {"family", "llama"},
                      {"layers", "3"},
                      {"width", "96"},
                      {"heads", "6"},
                      {"kv_heads", "2"},
                      {"context", "64"},
                      {"text", "corpus.h5"}});

  const Config config = wizard.outcome().resolved();
  EXPECT_EQ(config.model.kv_heads.get(), 2);
  EXPECT_EQ(config.data.sequence_length, 64);
  EXPECT_EQ(config.data.tokens, "corpus.h5");
  EXPECT_TRUE(config.data.text.empty());
  EXPECT_EQ(mistakes_in(wizard), "");
}

TEST(Wizard, TakesTheShapeOfAModelFolder) {
  const WizardFacts facts = cluster_facts();
  Wizard wizard(facts);

  answer_all(wizard, {{"model", "models/tiny"}});

  const ModelConfig model = wizard.outcome().config().model;
  EXPECT_EQ(model.family, "llama");
  EXPECT_EQ(model.ffn_width.get(), 96);
  EXPECT_EQ(model.vocabulary.get(), 300);
  EXPECT_TRUE(model.tied_embeddings.get());
}

TEST(Wizard, TrainsAnImportedModelFurtherOnItsOwnTokens) {
  const ScratchDirectory scratch;
  WizardFacts facts = machine_facts(1);
  facts.models = {imported_model(scratch)};
  facts.texts = {"book.txt", "book.ids", "book.h5"};
  Wizard wizard(facts);

  answer_all(wizard, {{"model", scratch.path("imported")}});

  const Config config = wizard.outcome().resolved();
  EXPECT_EQ(config.model.path, scratch.path("imported"));
  EXPECT_EQ(config.model.vocabulary.get(), 64);
  EXPECT_EQ(config.data.text, std::vector<std::string>{"book.ids"}) << "letters are no ids";
  EXPECT_EQ(config.data.sequence_length, 48);
  EXPECT_LT(config.optimizer.params.lr, 1e-4);
  EXPECT_EQ(mistakes_in(wizard), "");
}

TEST(Wizard, LeavesAModelThatWasTrainedFurther) {
  const ScratchDirectory scratch;
  WizardFacts facts = machine_facts(1);
  facts.models = {imported_model(scratch)};
  const LoadedConfig earlier = load_config_text("[model]\npath = \"" + scratch.path("imported") +
                                                    "\"\n[data]\ntokens = \"a.h5\"\nsequence_length = 32\n"
                                                    "[training]\nsteps = 5\ntrain_batch_size = 8\n",
                                                facts.path, {}, {});
  facts.earlier = preset_of(earlier, facts.path);
  facts.earlier_config = earlier.config;

  for (const std::string model : {"as it is", "custom", "small"}) {
    Wizard wizard(facts);
    answer_all(wizard, {{"model", model}, {"text", model == "as it is" ? "a.h5" : "a.txt"}});
    const Config config = wizard.outcome().config();
    EXPECT_EQ(config.model.path.empty(), model != "as it is") << model;
    EXPECT_EQ(mistakes_in(wizard), "") << model;
  }
}

TEST(Wizard, RefusesWhatIsNoAnswerAndAsksAgain) {
  const WizardFacts facts = cluster_facts();
  Wizard wizard(facts);
  wizard.ask_all();
  const auto why = [&](std::string_view id, const std::string& typed) {
    const auto names = asked(wizard);
    wizard.go_to(static_cast<std::size_t>(std::find(names.begin(), names.end(), id) - names.begin()) + 1);
    return wizard.answer(typed);
  };

  EXPECT_THAT(why("compute_environment", "slurm:deqf"), HasSubstr("Did you mean slurm:defq?"));
  EXPECT_THAT(why("num_gpus", "many"), HasSubstr("Please enter an integer."));
  EXPECT_THAT(why("num_gpus", "9"), HasSubstr("a multiple"));
  EXPECT_THAT(why("num_gpus", "99999999999999999999"), HasSubstr("Please enter an integer."));
  EXPECT_THAT(why("num_gpus", "65"), HasSubstr("from 1 to 64"));
  EXPECT_THAT(why("check_collectives", "maybe"), HasSubstr("Please enter yes or no."));
  EXPECT_THAT(why("learning_rate", "nan"), HasSubstr("Please enter a number."));
  EXPECT_THAT(why("mixed_precision", "fp8"), HasSubstr("one of: no, bf16"));
  EXPECT_THAT(why("steps", "0"), HasSubstr("an integer from 1"));
  EXPECT_THAT(why("run_name", "a/b"), HasSubstr("run.output_dir"));
  EXPECT_THAT(why("run_name", "\xff"), HasSubstr("UTF-8"));
  EXPECT_THAT(why("run_name", "a\x01z"), HasSubstr("ontrol"));
  EXPECT_THAT(why("text", ","), HasSubstr("Please enter a name"));
  EXPECT_THAT(why("text", "a.h5, b.txt"), HasSubstr("one token file"));
  EXPECT_EQ(why("check_collectives", "Y"), "");
  EXPECT_EQ(why("run_name", "λόγος"), "");
  EXPECT_EQ(why("text", "ένα.txt, \"δύο.txt\""), "");
  EXPECT_EQ(mistakes_in(wizard), "");
}

TEST(Wizard, GoesBackKeepsAndForgets) {
  const WizardFacts facts = machine_facts(8);
  Wizard wizard(facts);
  EXPECT_FALSE(wizard.back());
  answer_all(wizard, {{"model", "custom"}, {"width", "96"}, {"heads", "6"}});
  ASSERT_EQ(wizard.question(), nullptr);

  const auto names = asked(wizard);
  wizard.go_to(static_cast<std::size_t>(std::find(names.begin(), names.end(), "width") - names.begin()) + 1);
  EXPECT_EQ(wizard.usual(), "96");
  EXPECT_EQ(wizard.answer("128"), "");

  ASSERT_NE(wizard.question(), nullptr) << "six heads do not divide 128";
  EXPECT_EQ(wizard.question()->id, "heads");
  EXPECT_EQ(wizard.usual(), "2");
  EXPECT_TRUE(wizard.back());
  EXPECT_EQ(wizard.usual(), "128");
  EXPECT_EQ(mistakes_in(wizard), "");
}

TEST(Wizard, ProposesAStageThatFitsAndAsksForTheBatchWhereNoneDoes) {
  const WizardFacts facts = cluster_facts();
  Wizard wizard(facts);
  const Answers large{{"model", "custom"}, {"family", "llama"}, {"layers", "24"},
                      {"width", "2048"},   {"num_gpus", "4"},   {"context", "2048"}};
  EXPECT_TRUE(wizard.take(large).empty());
  EXPECT_EQ(wizard.take_usual(), nullptr);

  EXPECT_TRUE(wizard.outcome().memory().fits()) << in_words(wizard.outcome().memory(), std::nullopt);
  EXPECT_EQ(wizard.given().at("zero_stage"), "3");
  EXPECT_TRUE(wizard.given().contains("micro_batch"));
  Wizard at_one(facts);
  Answers fixed = large;
  fixed.insert({"zero_stage", "1"});
  fixed.insert({"micro_batch", "8"});
  at_one.take(fixed);
  EXPECT_THAT(in_words(at_one.outcome().memory(), std::nullopt), HasSubstr("stage 1 does not fit: each GPU needs"));
}

TEST(Wizard, NamesOffloadingWhereNoStageFits) {
  const WizardFacts facts = cluster_facts();
  Wizard wizard(facts);
  wizard.take({{"model", "custom"},
               {"family", "llama"},
               {"layers", "32"},
               {"width", "4096"},
               {"num_gpus", "4"},
               {"context", "512"},
               {"zero_stage", "3"},
               {"micro_batch", "1"},
               {"offload_optimizer", "none"}});

  EXPECT_THAT(
      in_words(wizard.outcome().memory(), std::nullopt),
      AllOf(HasSubstr("no stage does on 4; with zero_optimization.offload_optimizer.device = \"cpu\" stage 3 does"),
            HasSubstr("GiB of the host's)")));
}

TEST(Wizard, OffloadsOptimizerStateOnlyWhereNothingElseFits) {
  const WizardFacts facts = cluster_facts();
  const auto outcome_of = [&](const Answers& answers) {
    Wizard wizard(facts);
    wizard.take(answers);
    return wizard.outcome();
  };
  const WizardView small = outcome_of({{"model", "small"}, {"num_gpus", "4"}});
  const WizardView large = outcome_of({{"model", "custom"},
                                       {"family", "llama"},
                                       {"layers", "32"},
                                       {"width", "4096"},
                                       {"context", "512"},
                                       {"num_gpus", "4"}});

  EXPECT_EQ(small.config().zero_optimization.offload_optimizer.device, "none");
  EXPECT_EQ(large.config().zero_optimization.offload_optimizer.device, "cpu");
  EXPECT_TRUE(large.memory().fits()) << "with the usual micro batch, too";
}

TEST(Wizard, KeepsWhatAnEarlierFileSays) {
  WizardFacts facts = machine_facts(1);
  const LoadedConfig earlier = load_config_text(
      "[data]\ntext = [\"old.txt\"]\n[training]\nepochs = 2.0\ntrain_batch_size = 12\n[optimizer]\ntype = \"SGD\"\n"
      "[optimizer.params]\nmomentum = 0.9\n",
      facts.path, {}, {});
  facts.earlier = preset_of(earlier, facts.path);
  facts.earlier_config = earlier.config;
  Wizard wizard(facts);

  answer_all(wizard, {{"steps", "40"}});

  const Config config = wizard.outcome().config();
  EXPECT_EQ(config.optimizer.type, "SGD");
  EXPECT_EQ(config.data.text, std::vector<std::string>{"old.txt"});
  EXPECT_EQ(config.training.steps.get(), 40);
  EXPECT_TRUE(config.training.epochs.is_auto()) << "the length that was asked for wins";
  EXPECT_EQ(mistakes_in(wizard), "");
}

/// What a hurried, a careful and a malicious person type.
std::string typed_at_random(const Wizard& wizard, std::mt19937& random) {
  static const std::vector<std::string> junk{"-1",  "0",      "1",      "2", "3",    "7",
                                             "1e3", "yes",    "no",     "x", "\"",   "[",
                                             "a=b", "../..",  "1 2",    "ü", "\xc3", "99999999999999",
                                             "0.5", "custom", "[\"a\"]"};
  const auto below = [&](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  const std::vector<Choice> choices = choices_of(*wizard.question(), wizard.view());
  const std::size_t what = below(10);
  if (what < 4 && !choices.empty()) return choices[below(choices.size())].value;
  if (what < 6) return std::to_string(below(12));
  return what < 8 ? "" : junk[below(junk.size())];
}

/// Where a person may sit: at clusters with and without a profile, at machines with GPUs and without.
WizardFacts facts_number(unsigned number) {
  switch (number % 4) {
    case 0:
      return cluster_facts();
    case 1:
      return prometheus_facts();
    case 2:
      return prometheus_facts({.host = "laptop"});
    default:
      return machine_facts(static_cast<int>(number / 4 % 3) * 2);
  }
}

TEST(Wizard, EveryPathGivesALegalFileAndAJobThatIsGranted) {
  constexpr unsigned kPaths = 12;
  constexpr int kMostAnswers = 60;
  std::set<std::string> seen;
  const ScratchDirectory scratch;
  for (unsigned seed = 0; seed < kPaths; ++seed) {
    std::mt19937 random(seed);
    WizardFacts facts = facts_number(seed);
    if (seed % 4 == 3) facts.models.push_back(imported_model(scratch));
    Wizard wizard(facts);
    if (seed % 12 < 4) wizard.ask_all();
    for (int turn = 0; turn < kMostAnswers && wizard.question() != nullptr; ++turn) {
      seen.emplace(wizard.question()->id);
      if (random() % 12 == 0) wizard.back();
      wizard.answer(typed_at_random(wizard, random));
      if (turn % 8 == 0) ASSERT_EQ(mistakes_in(wizard), "") << "seed " << seed << "\n" << wizard.outcome().toml();
    }
    EXPECT_EQ(wizard.take_usual(), nullptr) << "seed " << seed;
    ASSERT_EQ(mistakes_in(wizard), "") << "seed " << seed << "\n" << wizard.outcome().toml();
  }
  std::vector<std::string_view> unseen;
  for (const Question& each : wizard_questions())
    if (!seen.contains(std::string(each.id))) unseen.push_back(each.id);
  EXPECT_LE(unseen.size(), 3u) << "paths that see too little prove too little: " << testing::PrintToString(unseen);
}

}  // namespace
}  // namespace ferula
