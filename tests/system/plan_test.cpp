// What `ferula plan` says: times, neighbours, verdicts, the memory of `generate`, and the tables of other programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include <fstream>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

namespace json = boost::json;

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

json::value plan_of(const Workplace& workplace, const std::vector<std::string>& words,
                    const std::vector<std::string>& settings) {
  std::vector<std::string> all{"plan", "tiny.toml", "--json"};
  all.insert(all.end(), words.begin(), words.end());
  const Outcome outcome = workplace.ferula(with_settings(all, settings));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return json::parse(outcome.out);
}

double number(const json::value& value) { return value.to_number<double>(); }

/// A Llama of 7 billion parameters.
const std::vector<std::string> kSeven{"model.family=llama",
                                      "model.layers=32",
                                      "model.width=4096",
                                      "model.heads=32",
                                      "model.kv_heads=8",
                                      "model.ffn_width=14336",
                                      "model.context=2048",
                                      "model.vocabulary=32000",
                                      "data.sequence_length=512",
                                      "model.tied_embeddings=false",
                                      "training.train_batch_size=64",
                                      "training.train_micro_batch_size_per_gpu=1",
                                      "run.name=llama-7b",
                                      "run.device=auto",
                                      "bf16.enabled=auto"};

TEST(PlanPageSystem, TimesFollowFromWhatRunsHaveMeasured) {
  const Workplace workplace;
  write_tiny_run(workplace, 9);
  const json::value before = plan_of(workplace, {}, {});
  ASSERT_EQ(workplace.ferula({"train", "tiny.toml"}).code, 0);
  const json::value summary = json::parse(workplace.read("runs/tiny/summary.json"));

  const json::value after = plan_of(workplace, {}, {});

  EXPECT_TRUE(before.at_pointer("/stages/0/seconds").is_null()) << "nothing was measured, and nothing is assumed";
  EXPECT_THAT(std::string(before.at_pointer("/pace/computing").as_string()), HasSubstr("unknown"));
  EXPECT_EQ(after.at_pointer("/pace/measured").as_string(), "runs/tiny");
  const double measured = number(summary.at_pointer("/speed/step_seconds"));
  const double waited = number(summary.at_pointer("/seconds/communication"));  // a rank alone hardly does
  EXPECT_NEAR(number(after.at_pointer("/stages/0/seconds/step")), measured, 0.05 * measured + waited);
  EXPECT_THAT(workplace.ferula({"plan", "tiny.toml"}).out,
              AllOf(HasSubstr("9 steps take about"), HasSubstr("at the rate that was measured"),
                    HasSubstr("runs/tiny: "), HasSubstr(" counted (")));
}

TEST(PlanPageSystem, ARunTellsWhatWasForeseenOfItsSteps) {
  const Workplace workplace;
  write_tiny_run(workplace, 9);

  const Outcome first = workplace.ferula({"train", "tiny.toml", "--ranks", "2"});
  const Outcome second = workplace.ferula({"train", "tiny.toml", "--ranks", "2", "--set", "run.name=second"});

  EXPECT_THAT(first.out, AllOf(HasSubstr("a step took "), Not(HasSubstr("were foreseen"))));
  EXPECT_THAT(second.out, HasSubstr("s were foreseen from runs/tiny\n"));
  const json::value earlier = json::parse(workplace.read("runs/tiny/summary.json"));
  const json::value later = json::parse(workplace.read("runs/second/summary.json"));
  EXPECT_TRUE(earlier.at_pointer("/speed/step_seconds_expected").is_null());
  const double measured = number(earlier.at_pointer("/speed/step_seconds"));
  EXPECT_NEAR(number(later.at_pointer("/speed/step_seconds_expected")), measured, 0.01 * measured)
      << "the same layout takes what it took";
}

TEST(PlanPageSystem, NeighboursAreLegalLayouts) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);  // twelve samples, two a rank at once

  const json::value plan = plan_of(workplace, {"--ranks", "2"}, {});

  std::vector<std::string> names;
  for (const json::value& near : plan.at("neighbours").as_array()) {
    names.emplace_back(near.at("name").as_string());
    const auto of = [&](const char* key) { return static_cast<std::int64_t>(number(near.at(key))); };
    EXPECT_EQ(of("ranks") * of("micro_batch") * of("accumulation"), 12) << names.back();
    const std::string batch = std::to_string(of("micro_batch"));
    EXPECT_EQ(workplace
                  .ferula({"config", "check", "tiny.toml", "--ranks", std::to_string(of("ranks")), "--set",
                           "training.train_micro_batch_size_per_gpu=" + batch})
                  .code,
              0);
  }
  EXPECT_THAT(names, testing::ElementsAre("half the micro batch", "half the ranks"))
      << "four at once on two ranks, or two on four, do not divide twelve";
}

TEST(PlanPageSystem, VerdictsSayHowManyGpusAndWhyNotOne) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);

  const Outcome plan =
      workplace.ferula(with_settings({"plan", "tiny.toml", "--ranks", "8", "--card", "a5000"}, kSeven));

  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_THAT(plan.out, AllOf(HasSubstr("Loading: 1 x RTX A5000 is enough ("),
                              HasSubstr("Generating 2048 tokens, a text a GPU: 1 x RTX A5000"),
                              HasSubstr("Training: needs 8 x RTX A5000 with ZeRO 3 ("),
                              HasSubstr("1 GPU is not enough ("), HasSubstr("an assumption: 40 % of its peak"),
                              HasSubstr("5 steps take about"), HasSubstr("under the assumptions above")));
}

TEST(PlanPageSystem, PlansForTheCardsAndLimitsOfTheProfile) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);
  std::vector<std::string> job = kSeven;
  job.insert(job.end(), {"slurm.profile=prometheus", "zero_optimization.stage=3", "training.steps=1000000",
                         "training.train_batch_size=96"});

  const Outcome defq = workplace.ferula(with_settings({"plan", "tiny.toml"}, job));
  std::vector<std::string> larger = job;
  larger.emplace_back("model.layers=48");
  const Outcome a6000 = workplace.ferula(with_settings({"plan", "tiny.toml", "--partition", "a6000"}, larger));
  const Outcome small = workplace.ferula(with_settings({"plan", "tiny.toml", "--set", "slurm.gpus_per_node=4"}, job));
  const Outcome too_many = workplace.ferula(
      with_settings({"plan", "tiny.toml", "--partition", "a6000", "--set", "slurm.gpus_per_node=4"}, job));

  EXPECT_EQ(defq.code, 0) << defq.err;
  EXPECT_THAT(defq.out, AllOf(HasSubstr("on 8 ranks"), HasSubstr("partition defq"), HasSubstr("8 x RTX A5000"),
                              Not(HasSubstr("H100")), HasSubstr("longer than the 1-00:00:00"), HasSubstr("QOS normal"),
                              HasSubstr("each queued again at the limit")));
  EXPECT_THAT(a6000.out, AllOf(HasSubstr("on 3 ranks"), HasSubstr("Training: 3 x RTX 6000 Ada do not hold it"),
                               HasSubstr("a job of partition a6000 gets no more")));
  EXPECT_EQ(small.code, 3) << "four A5000 do not hold it";
  EXPECT_EQ(too_many.code, 2);
  EXPECT_THAT(too_many.err, HasSubstr("QOS normal-a6000 allows 3 GPUs, you ask 4"));
  EXPECT_EQ(workplace.ferula({"plan", "tiny.toml", "--partition", "a6000"}).code, 2) << "of which profile?";
}

/// Models of 8 million parameters: of smaller ones the scratch of products, which is rounded up, is a larger share.
TEST(PlanPageSystem, ForeseesTheMemoryOfGenerateWithinFivePercent) {
  const Workplace workplace;
  write_tiny_run(workplace, 1);
  struct Layout {
    int ranks, stage;
  };
  for (const std::string family : {"gpt2", "llama"})
    for (const std::string bf16 : {"false", "true"}) {
      const std::vector<std::string> settings{
          "model.family=" + family, "model.layers=4",        "model.width=512",      "model.heads=4",
          "model.context=512",      "model.vocabulary=2048", "bf16.enabled=" + bf16, "training.evaluate_every=0"};
      ASSERT_EQ(workplace.ferula(with_settings({"train", "tiny.toml", "--resume", "never"}, settings)).code, 0);
      for (const auto& [ranks, stage] : {Layout{1, 0}, Layout{2, 0}, Layout{2, 3}, Layout{3, 3}}) {
        const std::string count = std::to_string(ranks);
        const json::value plan = plan_of(workplace, {"--ranks", count}, settings);
        std::vector<std::string> generate{"generate",
                                          "tiny.toml",
                                          "--prompt",
                                          std::string(300, 'a'),
                                          "--ranks",
                                          count,
                                          "--json",
                                          "--max-new-tokens",
                                          "2",
                                          "--set",
                                          "zero_optimization.stage=" + std::to_string(stage)};
        for (int rank = 1; rank < ranks; ++rank) generate.insert(generate.end(), {"--prompt", "Line"});
        const Outcome texts = workplace.ferula(with_settings(generate, settings));
        ASSERT_EQ(texts.code, 0) << texts.err;
        const json::value first = json::parse(texts.out.substr(0, texts.out.find('\n')));

        const double counted = number(first.at("memory_peak_bytes"));
        const double foreseen = number(plan.at_pointer("/inference/" + std::to_string(stage) + "/generating/all"));
        EXPECT_NEAR(foreseen / counted, 1.0, 0.05)
            << family << ", " << ranks << " ranks, stage " << stage << ", " << bf16;
      }
    }
}

/// As tests/oracles/estimators.py has computed them from the formulas of DeepSpeed and accelerate.
TEST(PlanPageSystem, PrintsTheTablesOfDeepSpeedAndAccelerate) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);
  struct Case {
    std::string name;
    std::vector<std::string> words, settings;
  };
  const std::vector<Case> cases{
      {"gpt2",
       {"--ranks", "4"},
       {"run.name=gpt2", "model.layers=12", "model.width=768", "model.heads=12", "model.context=1024",
        "model.vocabulary=50304", "training.train_batch_size=8"}},
      {"llama-7b", {"--ranks", "16"}, kSeven},
      {"bytes",
       {"--ranks", "1"},
       {"run.name=bytes", "model.layers=3", "model.width=256", "model.heads=8", "model.context=256"}}};
  for (const Case& each : cases) {
    const auto table = [&](const std::string& format) {
      std::vector<std::string> words{"plan", "tiny.toml", "--format", format};
      words.insert(words.end(), each.words.begin(), each.words.end());
      const Outcome outcome = workplace.ferula(with_settings(words, each.settings));
      EXPECT_EQ(outcome.code, 0) << outcome.err;
      EXPECT_THAT(outcome.out, HasSubstr("nothing is measured\n"));
      std::string bare;  // without the lines that say whose it is
      std::istringstream lines(outcome.out);
      for (std::string line; std::getline(lines, line);)
        if (!line.ends_with("nothing is measured")) bare += line + "\n";
      return bare;
    };
    std::ifstream file(FERULA_SOURCE_DIR "/tests/oracles/golden/estimators/" + each.name + ".txt");
    const std::string golden{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(table("deepspeed") + "\n" + table("accelerate"), golden) << each.name;
  }
  EXPECT_EQ(workplace.ferula({"plan", "tiny.toml", "--format", "fairscale"}).code, 2);
}

TEST(PlanPageSystem, ScalingIsForeseenOfCardsThatNobodyHas) {
  const Workplace workplace;
  write_tiny_run(workplace, 9);
  const json::value found = plan_of(workplace, {"--card", "h100", "--ranks", "8", "--scaling", "8,64"}, kSeven);
  const json::array& rows = found.at("rows").as_array();

  ASSERT_EQ(rows.size(), 5U);
  for (const json::value& row : rows)
    for (const json::value& layout : row.at("layouts").as_array())
      if (!layout.is_null()) {
        EXPECT_GT(number(layout.at("efficiency")), 0.0);
        EXPECT_LT(number(layout.at("efficiency")), 1.5);
      }
  EXPECT_FALSE(found.at_pointer("/rows/0/layouts/0/fits").as_bool()) << "7 billion parameters at stage 0";
  EXPECT_TRUE(found.at_pointer("/rows/3/layouts/1/fits").as_bool());
  EXPECT_TRUE(found.at_pointer("/rows/4/layouts/0").is_null()) << "one node has nothing to copy";
  const json::value slow =
      plan_of(workplace, {"--card", "h100", "--ranks", "8", "--scaling", "8,64", "--network", "1"}, kSeven);
  EXPECT_LT(number(slow.at_pointer("/rows/3/layouts/1/efficiency")),
            number(found.at_pointer("/rows/3/layouts/1/efficiency")));
}

TEST(PlanPageSystem, ScalingOfThisHostNeedsAMeasuredRun) {
  const Workplace workplace;
  write_tiny_run(workplace, 9);

  const Outcome unknown = workplace.ferula({"plan", "tiny.toml", "--scaling", "2,3"});

  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err,
              AllOf(HasSubstr("--scaling needs to know how fast ranks compute"), HasSubstr("--card NAME")));
  ASSERT_EQ(workplace.ferula({"train", "tiny.toml"}).code, 0);
  EXPECT_THAT(workplace.ferula({"plan", "tiny.toml", "--scaling", "2,3"}).out,
              AllOf(HasSubstr("stage 3"), HasSubstr("left out: no run of several ranks")));
  EXPECT_EQ(workplace.ferula({"plan", "tiny.toml", "--scaling", "3,2"}).code, 2);
  EXPECT_EQ(workplace.ferula({"plan", "tiny.toml", "--network", "2"}).code, 2);
}

}  // namespace
}  // namespace ferula::system_tests
