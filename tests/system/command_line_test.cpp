// Help, exit codes and messages of the program as a user meets them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;

const std::vector<std::string> kCommands{"bench", "checkpoint", "config", "evaluate", "generate", "tokenize", "train"};

TEST(CommandLineSystem, HelpListsEveryCommandAndTheExitCodes) {
  const Outcome help = Workplace().ferula({"--help"});

  EXPECT_EQ(help.code, 0);
  for (const std::string& command : kCommands) EXPECT_THAT(help.out, HasSubstr("\n  " + command + " "));
  EXPECT_THAT(help.out, AllOf(HasSubstr("exit codes"), HasSubstr("75"), HasSubstr("130")));
}

TEST(CommandLineSystem, EveryCommandHasHelpWithExamples) {
  const Workplace workplace;
  for (const std::string& command : kCommands) {
    const Outcome help = workplace.ferula({command, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, AllOf(HasSubstr("usage: ferula " + command), HasSubstr("examples:\n  ferula " + command)));
    EXPECT_EQ(workplace.ferula({"help", command}).out, help.out);
  }
}

TEST(CommandLineSystem, HidesWhatOnlyTheLauncherUses) {
  EXPECT_THAT(Workplace().ferula({"train", "--help"}).out, Not(HasSubstr("launch")));
}

TEST(CommandLineSystem, VersionNamesTheRevision) {
  EXPECT_THAT(Workplace().ferula({"--version"}).out, MatchesRegex("ferula [0-9.]+ \\([-0-9a-z]+\\)\n"));
}

TEST(CommandLineSystem, AnUnknownCommandIsAUsageErrorWithTheNearestName) {
  const Outcome outcome = Workplace().ferula({"trian", "x.toml"});

  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("found 'trian'"), HasSubstr("did you mean 'train'?")));
}

TEST(CommandLineSystem, ACommandOfALaterVersionSaysSo) {
  const Workplace workplace;
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"chat"}, {"serve"}, {"checkpoint", "prune", "runs"}}) {
    const Outcome outcome = workplace.ferula(words);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("does not exist in this version"));
  }
}

TEST(CommandLineSystem, AnUnknownOptionIsAUsageErrorWithTheNearestName) {
  const Outcome outcome = Workplace().ferula({"train", "x.toml", "--rank", "2"});

  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("did you mean --ranks?"));
}

TEST(CommandLineSystem, NoCommandAtAllShowsTheHelpAsAnError) {
  const Outcome outcome = Workplace().ferula({});

  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("expected a command"), HasSubstr("usage:")));
}

TEST(CommandLineSystem, AConfigurationThatIsMissingIsNamed) {
  const Outcome outcome = Workplace().ferula({"train", "nothing.toml"});

  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("nothing.toml"));
}

TEST(CommandLineSystem, AMistakeIsToldOnceHoweverManyRanksFindIt) {
  const Workplace workplace;
  workplace.write("bad.toml", "[training]\nstep = 5\n");
  const std::string said = workplace.ferula({"train", "bad.toml"}).err;
  ASSERT_THAT(said, HasSubstr("bad.toml:2:1"));

  const Outcome launched = workplace.ferula({"train", "bad.toml", "--ranks", "3"});
  EXPECT_EQ(launched.code, 2);
  EXPECT_EQ(launched.err, said);

  const Outcome simulated = workplace.ferula({"train", "bad.toml", "--ranks-simulated", "3"});
  EXPECT_EQ(simulated.code, 2);
  EXPECT_EQ(simulated.err, said);
}

TEST(CommandLineSystem, SimulatedRanksAndLaunchedRanksExcludeEachOther) {
  EXPECT_EQ(Workplace().ferula({"bench", "--ranks", "2", "--ranks-simulated", "2"}).code, 2);
  EXPECT_EQ(Workplace().ferula({"bench", "--ranks", "0"}).code, 2);
}

TEST(CommandLineSystem, RefusesMoreRanksThanAHostCanHold) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);
  for (const std::string option : {"--ranks", "--ranks-simulated"}) {
    const Outcome outcome = workplace.ferula({"train", "tiny.toml", option, "100000"});

    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr(option + ": expected at most "), HasSubstr("found 100000")));
  }
}

TEST(CommandLineSystem, SaysWhatToDoWhereMpirunIsMissing) {
  const Outcome outcome = Workplace().run({"env", "PATH=/nowhere", FERULA_PROGRAM, "bench", "--ranks", "2"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("mpirun"), HasSubstr("openmpi-bin")));
}

TEST(CommandLineSystem, APlanTellsWhetherARunFitsAndWhatWould) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);

  const Outcome plan = workplace.ferula({"plan", "tiny.toml", "--ranks", "2", "--card", "a5000"});
  const Outcome too_large =
      workplace.ferula({"plan", "tiny.toml", "--set", "model.width=131072", "--set", "model.head_dim=64"});

  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_THAT(plan.out,
              AllOf(HasSubstr("2 ranks"), HasSubstr("it fits"), HasSubstr("Training: 1 x RTX A5000 is enough")));
  EXPECT_EQ(too_large.code, 3) << too_large.out;
  EXPECT_THAT(too_large.out, HasSubstr("does not fit"));
  EXPECT_FALSE(workplace.has("runs"));
}

TEST(CommandLineSystem, APlanIsWhatARunCounts) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);
  for (const std::string stage : {"1", "3"}) {
    const std::vector<std::string> words{"tiny.toml", "--ranks", "2", "--set", "zero_optimization.stage=" + stage};
    const auto with = [&](std::vector<std::string> all) {
      all.insert(all.begin() + 1, words.begin(), words.end());
      return workplace.ferula(all);
    };
    ASSERT_EQ(with({"train", "--resume", "never"}).code, 0);
    const auto summary = boost::json::parse(workplace.read("runs/tiny/summary.json"));
    const auto plan = boost::json::parse(with({"plan", "--json"}).out);

    const double counted = summary.at_pointer("/ranks/0/memory/peak").to_number<double>();
    const double foreseen = plan.at_pointer("/stages/" + stage + "/memory/all").to_number<double>();
    EXPECT_NEAR(foreseen / counted, 1.0, 0.05) << "stage " << stage;
  }
}

TEST(CommandLineSystem, BenchMeasuresOnRanksAndPrintsJson) {
  const Workplace workplace;
  const Outcome outcome =
      workplace.ferula({"bench", "--ranks", "2", "--megabytes", "1", "--repetitions", "1", "--json"});

  EXPECT_EQ(outcome.code, 0);
  for (const char* group : {"compute", "memory", "collectives", "disk", "training"})
    EXPECT_THAT(outcome.out, HasSubstr(group));
  EXPECT_THAT(outcome.out, HasSubstr("\"ranks\":2"));
  EXPECT_THAT(outcome.err, IsEmpty());
}

TEST(CommandLineSystem, AnErrorOfOneRankNamesRankHostAndDeviceAndEndsAll) {
  const Outcome outcome = Workplace().ferula(
      {"bench", "--ranks", "2", "--only", "disk", "--directory", "/nonexistent", "--repetitions", "1"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(" of 2 ("), HasSubstr("cpu): "), HasSubstr("/nonexistent")));
}

}  // namespace
}  // namespace ferula::system_tests
