// What the wizard finds out, and its files of answers.
#include "app/wizard/wizard_facts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/wizard/wizard_answers.hpp"
#include "support/message_of.hpp"
#include "wizard_fixture.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

TEST(WizardFacts, ReadsThePartitionsOfSinfo) {
  const std::vector<Partition> found = partitions_in(
      "defq*|8|gpu:a5000:8(S:0-1)|1-00:00:00\na6000|1|gpu:4|7-00:00:00\nmixed|3|(null)|infinite\n"
      "mixed|2|shard:8,gpu:h100:2|infinite\nno line of sinfo\n|||\n");

  ASSERT_THAT(found, SizeIs(3));
  EXPECT_EQ(found[0].name, "defq");
  EXPECT_TRUE(found[0].is_default);
  EXPECT_EQ(found[0].gpus_a_node, 8);
  EXPECT_EQ(found[0].card, "a5000");
  EXPECT_EQ(found[1].gpus_a_node, 4);
  EXPECT_EQ(found[1].card, "");
  EXPECT_EQ(found[2].card, "h100");
  EXPECT_EQ(found[2].nodes, 2);
}

TEST(WizardFacts, RefusesAModelThatItCannotTrain) {
  const auto why = [](std::string_view text) { return test::message_of<DataError>([&] { model_in("m", text); }); };

  EXPECT_THAT(why("[]"), HasSubstr("JSON object"));
  EXPECT_THAT(why("{"), HasSubstr("JSON object"));
  EXPECT_THAT(why(R"({"model_type": "mistral"})"), HasSubstr("found mistral"));
  EXPECT_THAT(why(R"({"model_type": "gpt2", "n_layer": -2})"), HasSubstr("positive integer as n_layer, found -2"));
  EXPECT_THAT(why(R"({"model_type": "gpt2", "n_layer": 2})"), HasSubstr("hidden_size or n_embd"));
}

TEST(WizardAnswers, AreReadAsTheyAreKept) {
  const WizardFacts facts = cluster_facts();
  Wizard wizard(facts);
  wizard.ask_all();
  wizard.take({{"text", "ü.txt, b"}, {"num_gpus", "4"}, {"run_name", "12"}, {"learning_rate", "3e-4"}});
  wizard.take_usual();
  const Answers given = wizard.given();

  const std::string text = answers_toml(given);
  Wizard again(facts);
  EXPECT_TRUE(is_kept_by_wizard(text));
  EXPECT_TRUE(again.take(answers_in(text, "kept")).empty());
  EXPECT_EQ(again.given(), given);
  EXPECT_EQ(again.outcome().toml(), wizard.outcome().toml());
}

TEST(WizardAnswers, AreRefusedByNameAndPlace) {
  const std::string told =
      test::message_of<ConfigMistakes>([] { answers_in("zero_stge = 2\ntext = [1]\nsteps = { a = 1 }\n", "a.toml"); });

  EXPECT_THAT(told, HasSubstr("did you mean 'zero_stage'?"));
  EXPECT_THAT(told, HasSubstr("a.toml:2:"));
  EXPECT_THAT(told, HasSubstr("a.toml:3:"));
}

TEST(WizardAnswers, ThatMakeNoSenseHereAreNamed) {
  const WizardFacts facts = machine_facts(1);
  Wizard wizard(facts);

  const std::vector<std::string> problems =
      wizard.take({{"machine_type", "no"}, {"steps", "-3"}, {"num_gpus", "4"}, {"mixed_precision", "fp8"}});

  ASSERT_THAT(problems, SizeIs(2));
  EXPECT_THAT(problems[0], HasSubstr("mixed_precision = fp8: Please enter one of: no, bf16."));
  EXPECT_THAT(problems[1], HasSubstr("steps = -3: "));
  EXPECT_THAT(wizard.unused(), testing::ElementsAre("num_gpus"));
}

}  // namespace
}  // namespace ferula
