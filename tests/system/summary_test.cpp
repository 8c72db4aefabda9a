// What summary.json says of memory and traffic, read as a user would after real runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

namespace json = boost::json;

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr int kSteps = 8;

/// A model large enough that paddings and scalars vanish within the stated 1 %.
std::vector<std::string> train_words(int stage) {
  return {"train",    "tiny.toml",
          "--ranks",  "2",
          "--resume", "never",
          "--set",    "zero_optimization.stage=" + std::to_string(stage),
          "--set",    "model.width=128",
          "--set",    "model.heads=4",
          "--set",    "training.gradient_accumulation_steps=1",
          "--set",    "training.train_batch_size=4",
          "--set",    "zero_optimization.stage3_param_persistence_threshold=0"};
}

json::object summary_of(const Workplace& workplace) {
  return json::parse(workplace.read("runs/tiny/summary.json")).as_object();
}

double elements_sent(const json::object& rank) {
  double elements = 0.0;
  for (const auto& [name, counts] : rank.at("communication").as_object())
    elements += counts.at("elements").to_number<double>();
  return elements;
}

TEST(SummarySystem, ShowsTheTrafficOfTheZeroPapersWithoutValidation) {
  const Workplace workplace;
  write_tiny_run(workplace, kSteps);
  for (const auto& [stage, times] : std::map<int, double>{{0, 2.0}, {1, 2.0}, {2, 2.0}, {3, 3.0}}) {
    const Outcome run = workplace.ferula(train_words(stage));
    ASSERT_EQ(run.code, 0) << run.err;

    const json::object summary = summary_of(workplace);

    const double parameters = summary.at("parameters").to_number<double>();
    for (const json::value& rank : summary.at("ranks").as_array())
      EXPECT_NEAR(elements_sent(rank.as_object()) / parameters / kSteps / times, 1.0, 0.01) << "stage " << stage;
  }
}

TEST(SummarySystem, ListsCollectivesBySizeWhereTheyAreWanted) {
  const Workplace workplace;
  write_tiny_run(workplace, kSteps);
  ASSERT_EQ(workplace.ferula({"train", "tiny.toml"}).code, 0);
  EXPECT_FALSE(workplace.has("runs/tiny/comms.csv"));

  const Outcome run = workplace.ferula({"train", "tiny.toml", "--resume", "never", "--ranks", "2", "--set",
                                        "zero_optimization.stage=2", "--set", "comms_logger.enabled=true"});

  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("straggler ms"), ContainsRegex("reduce_scatter +2 ")));
  EXPECT_THAT(
      workplace.read("runs/tiny/comms.csv"),
      AllOf(StartsWith("rank,op,ranks,bytes"), HasSubstr("\n0,reduce_scatter,2,"), HasSubstr("\n1,reduce_scatter,2,")));
}

TEST(SummarySystem, ListsTheCollectivesThatAreChosenAndTellsEachCall) {
  const Workplace workplace;
  write_tiny_run(workplace, kSteps);

  const Outcome run =
      workplace.ferula({"train", "tiny.toml", "--ranks", "2", "--set", "zero_optimization.stage=2", "--set",
                        "comms_logger={enabled=true, verbose=true, prof_ops=[\"reduce_scatter\"]}"});
  const Outcome unknown =
      workplace.ferula({"train", "tiny.toml", "--set", "comms_logger.prof_ops=[\"reduce_scater\"]"});

  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(ContainsRegex("comm op: reduce_scatter .* time .ms.: [0-9.]+ .* msg size: "),
                             ContainsRegex("reduce_scatter +2 "), Not(HasSubstr("op: all"))));
  EXPECT_THAT(workplace.read("runs/tiny/comms.csv"), AllOf(HasSubstr("\n1,reduce_scatter,2,"), Not(HasSubstr("all_"))));
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean \"reduce_scatter\"?"));
}

TEST(SummarySystem, IsNullWhereARunFailedBeforeItMeasuredAnything) {
  for (const char* ranks : {"1", "3"}) {
    const Workplace workplace;
    write_tiny_run(workplace, kSteps);
    const Outcome run =
        workplace.ferula({"train", "tiny.toml", "--set", "data.text=[\"nofile.txt\"]", "--ranks-simulated", ranks});
    ASSERT_EQ(run.code, 1) << run.err;

    const json::object summary = summary_of(workplace);

    for (const char* field : {"final_loss", "tokens_per_second", "elapsed_seconds", "seconds", "slowest_rank"})
      EXPECT_TRUE(summary.at(field).is_null()) << field;
    const json::object& rank = summary.at("ranks").at(0).as_object();
    for (const char* field : {"memory", "communication", "step_seconds"})
      EXPECT_TRUE(rank.at(field).is_null()) << field;
  }
}

TEST(SummarySystem, HoldsNumbersWhereTheyWereMeasured) {
  const Workplace workplace;
  write_tiny_run(workplace, kSteps);
  ASSERT_EQ(workplace.ferula(train_words(0)).code, 0);

  const json::object summary = summary_of(workplace);

  EXPECT_GT(summary.at("elapsed_seconds").to_number<double>(), 0.0);
  EXPECT_GT(summary.at("seconds").at("forward").to_number<double>(), 0.0);
  EXPECT_GE(summary.at("slowest_rank").at("slower_percent").to_number<double>(), 0.0);
  for (const json::value& rank : summary.at("ranks").as_array()) {
    EXPECT_GT(rank.at("memory").at("peak").to_number<double>(), 0.0);
    EXPECT_GT(rank.at("step_seconds").to_number<double>(), 0.0);
  }
}

}  // namespace
}  // namespace ferula::system_tests
