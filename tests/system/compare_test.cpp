// Stages side by side, plans beside what runs count, and the box at the end of a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

namespace json = boost::json;

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

double number(const json::value& object, std::string_view key) { return object.at(key).to_number<double>(); }

TEST(CompareSystem, MeasuresTheStagesSideBySide) {
  const Workplace workplace;
  write_tiny_run(workplace, 8);
  const std::vector<std::string> larger{
      "--set", "model.layers=8", "--set", "model.width=128",
      "--set", "model.heads=4",  "--set", "zero_optimization.stage3_param_persistence_threshold=0"};
  std::vector<std::string> words{"compare", "tiny.toml", "--ranks", "2", "--steps", "6", "--json"};
  words.insert(words.end(), larger.begin(), larger.end());

  const Outcome outcome = workplace.ferula(words);

  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json::value report = json::parse(outcome.out);
  const json::array& stages = report.at("stages").as_array();
  ASSERT_EQ(stages.size(), 4U);
  for (std::size_t stage = 0; stage < stages.size(); ++stage) {
    EXPECT_EQ(stages[stage].at("zero_stage").as_int64(), static_cast<std::int64_t>(stage));
    const double counted = number(stages[stage], "memory_peak_bytes");
    EXPECT_NEAR(number(stages[stage], "memory_expected_bytes"), counted, 0.05 * counted);
    EXPECT_GT(number(stages[stage], "tokens_per_second"), 0.0);
    EXPECT_LT(number(stages[stage], "final_loss"), number(stages[stage], "first_loss"));
    if (stage > 0) EXPECT_LT(counted, number(stages[stage - 1], "memory_peak_bytes")) << stage;
  }
  EXPECT_GT(number(stages[3], "sent_bytes_per_step"), number(stages[0], "sent_bytes_per_step"));
  EXPECT_LT(number(report, "largest_loss_difference"), 1e-4);
  EXPECT_FALSE(workplace.has("runs/tiny.compare")) << "nothing is left";
  EXPECT_FALSE(workplace.has("runs/tiny")) << "the configuration's own run is not touched";
}

TEST(CompareSystem, PrintsATableForPeople) {
  const Workplace workplace;
  write_tiny_run(workplace, 8);

  const Outcome outcome =
      workplace.ferula({"compare", "tiny.toml", "--ranks", "2", "--steps", "5", "--stage", "3", "--stage", "0"});

  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(ContainsRegex("ZeRO stage +memory a rank +of the first +foreseen +tokens/s"),
                    ContainsRegex("\n0 .* 100 % .*small models \\(DDP\\)\n3 "), HasSubstr("final losses")));
}

TEST(CompareSystem, RefusesWhatCannotBeComparedBeforeItRuns) {
  struct Case {
    std::vector<std::string> words;
    std::string reason;
  };
  const Workplace workplace;
  write_tiny_run(workplace, 8);
  for (const Case& each : {Case{{"--ranks", "1"}, "at least 2 ranks"}, Case{{"--stage", "4"}, "0, 1, 2 or 3"},
                           Case{{"--ranks", "5"}, "train_batch_size"}, Case{{"--set", "model.widht=3"}, "width"}}) {
    std::vector<std::string> words{"compare", "tiny.toml"};
    words.insert(words.end(), each.words.begin(), each.words.end());

    const Outcome outcome = workplace.ferula(words);

    EXPECT_EQ(outcome.code, 2) << each.reason;
    EXPECT_THAT(outcome.err, HasSubstr(each.reason));
    EXPECT_FALSE(workplace.has("runs"));
  }
}

TEST(CompareSystem, TakesConfigurationsThatCountInEpochsOrWarmUpForLong) {
  const Workplace workplace;
  write_tiny_run(workplace, 40);
  for (const std::vector<std::string>& sets :
       {std::vector<std::string>{"training.steps=auto", "training.epochs=1"},
        {"scheduler.type=WarmupCosineLR", "scheduler.params.warmup_num_steps=30"}}) {
    const Outcome outcome =
        workplace.ferula(with_settings({"compare", "tiny.toml", "--ranks", "2", "--steps", "5", "--stage", "0"}, sets));

    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }
}

TEST(CompareSystem, TwoOfOneConfigurationDoNotMeet) {
  const Workplace workplace;
  write_tiny_run(workplace, 8);
  Outcome second;
  const auto first_is_under_way = [&] {
    if (workplace.lines_of("runs/tiny.compare/stage-0/metrics.jsonl") < 5) return false;
    second = workplace.ferula({"compare", "tiny.toml", "--ranks", "2", "--stage", "1"});
    return true;
  };

  const Outcome first = workplace.ferula_with_signals(
      {"compare", "tiny.toml", "--ranks", "2", "--steps", "100000", "--stage", "0"}, {SIGTERM}, first_is_under_way);

  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.err, AllOf(HasSubstr("runs/tiny.compare: expected no other comparison"),
                                HasSubstr("found one of process"), HasSubstr("nothing was changed")));
  EXPECT_EQ(first.code, 1) << "nothing of it is to be resumed";
  EXPECT_TRUE(workplace.has("runs/tiny.compare/stage-0/metrics.jsonl"));
}

TEST(CompareSystem, ShowsWhereTheWordsOfARunThatFailedAre) {
  const Workplace workplace;
  write_tiny_run(workplace, 8);

  const Outcome outcome = workplace.ferula({"compare", "tiny.toml", "--set", "data.text=[\"none.txt\"]"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("stage 0 ended with 1; what it printed is in runs/tiny.compare/stage-0.txt"));
  EXPECT_TRUE(workplace.has("runs/tiny.compare/stage-0.txt"));
}

TEST(CompareSystem, TrainingEndsWithTheMilestoneWhereItIsWanted) {
  const Workplace workplace;
  write_tiny_run(workplace, 8);

  const Outcome outcome =
      workplace.ferula({"train", "tiny.toml", "--ranks", "2", "--milestone", "--set", "zero_optimization.stage=2",
                        "--set", "zero_optimization.offload_optimizer.device=cpu"});

  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              ContainsRegex("={60}\nLab 05 Milestone: DeepSpeed Training Complete!\n={60}\nZeRO Stage: 2\n"
                            "CPU Offload: Enabled\nInitial Loss: [0-9]\\.[0-9]{4}\nFinal Loss:   [0-9]\\.[0-9]{4}\n"
                            "Memory per GPU: [0-9]+\\.[0-9] GB\nTraining Speed: [1-9][0-9]* samples/sec\n={60}\n"));
}

/// A family, a size and a precision, with as many accumulated micro batches.
struct PlannedCase {
  std::string family;
  int layers, width, accumulation, ranks;
  bool bf16;

  bool is_offloaded() const { return bf16 && ranks % 2 == 0; }
  std::vector<std::string> settings() const {
    return {"model.family=" + family,
            "model.layers=" + std::to_string(layers),
            "model.width=" + std::to_string(width),
            "training.gradient_accumulation_steps=" + std::to_string(accumulation),
            "training.train_batch_size=" + std::to_string(2 * accumulation * ranks),
            "training.evaluate_every=0",
            std::string("bf16.enabled=") + (bf16 ? "true" : "false"),
            std::string("zero_optimization.offload_optimizer.device=") + (is_offloaded() ? "cpu" : "none")};
  }
};

/// Every family and number of ranks, with two choices of size, accumulation and precision each: at four stages 64 runs.
std::vector<PlannedCase> planned_cases() {
  std::vector<PlannedCase> cases;
  for (const char* family : {"gpt2", "llama"})
    for (const int ranks : {1, 2, 3, 4})
      for (const bool bf16 : {false, true}) {
        const bool is_large = bf16 == (ranks % 2 == 0);
        cases.push_back({family, is_large ? 3 : 1, is_large ? 128 : 64, ranks % 3 + 1, ranks, bf16});
      }
  return cases;
}

TEST(PlanSystem, ForeseesWhatRunsCountWithinFivePercent) {
  const Workplace workplace;
  write_tiny_run(workplace, 2);
  int compared = 0;
  for (const PlannedCase& each : planned_cases()) {
    const std::string ranks = std::to_string(each.ranks);
    const Outcome plan =
        workplace.ferula(with_settings({"plan", "tiny.toml", "--ranks", ranks, "--json"}, each.settings()));
    ASSERT_EQ(plan.code, 0) << plan.err;
    const json::value planned = json::parse(plan.out);
    for (int stage = 0; stage < 4; ++stage) {
      std::vector<std::string> settings = each.settings();
      settings.push_back("zero_optimization.stage=" + std::to_string(stage));
      const Outcome run =
          workplace.ferula(with_settings({"train", "tiny.toml", "--ranks", ranks, "--resume", "never"}, settings));
      ASSERT_EQ(run.code, 0) << run.err;
      const json::value summary = json::parse(workplace.read("runs/tiny/summary.json"));
      const json::value& expected = planned.at("stages").at(static_cast<std::size_t>(stage)).at("memory");
      for (const json::value& rank : summary.at("ranks").as_array()) {
        const double counted = number(rank.at("memory"), "peak");
        EXPECT_NEAR(number(expected, "all"), counted, 0.05 * counted)
            << each.family << ", " << ranks << " ranks, stage " << stage << (each.bf16 ? ", bf16" : ", f32");
        const double on_host = number(rank.at("memory"), "host");
        EXPECT_NEAR(number(expected, "host"), on_host, 0.05 * on_host);
        EXPECT_EQ(on_host > 0.0, each.is_offloaded());
      }
      EXPECT_NEAR(number(summary.at("memory_expected"), "all"), number(expected, "all"),
                  0.05 * number(expected, "all"));
      ++compared;
    }
  }
  EXPECT_GE(compared, 60);
}

}  // namespace
}  // namespace ferula::system_tests
