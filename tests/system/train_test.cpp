// A run from its first step to its last, stopped and resumed, as a user meets it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::SizeIs;

/// Names in /dev/shm: a run must leave none behind.
std::set<std::string> shared_memory() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) names.insert(entry.path().filename());
  return names;
}

TEST(TrainSystem, LeavesTheFilesThatAreDocumented) {
  const Workplace workplace;
  write_tiny_run(workplace, 10);

  const Outcome run = workplace.ferula({"train", "tiny.toml", "--ranks", "2"});

  ASSERT_EQ(run.code, 0) << run.err;
  for (const char* name : {"config.toml", "log.txt", "metrics.jsonl", "summary.json",
                           "checkpoints/step-00000005/MANIFEST.json", "checkpoints/step-00000010/index.h5"})
    EXPECT_TRUE(workplace.has(std::string("runs/tiny/") + name)) << name;
  EXPECT_THAT(run.out, AllOf(HasSubstr("step 10/10"), HasSubstr("2 ranks"), HasSubstr("ferula generate --checkpoint")));
  EXPECT_THAT(workplace.read("runs/tiny/log.txt"), HasSubstr("step 10/10"));
  EXPECT_THAT(metric(workplace, "tiny", "loss"), SizeIs(10));
  EXPECT_EQ(workplace.run({"/usr/bin/python3", "-m", "json.tool", "runs/tiny/summary.json"}).code, 0);
}

TEST(TrainSystem, EveryLayoutLearnsAlike) {
  const Workplace workplace;
  write_tiny_run(workplace, 6);
  ASSERT_EQ(workplace.ferula({"train", "tiny.toml"}).code, 0);
  const std::vector<double> alone = metric(workplace, "tiny", "loss");
  EXPECT_LT(alone.back(), alone.front());

  for (const std::vector<std::string>& layout :
       {std::vector<std::string>{"--ranks", "2", "--set", "zero_optimization.stage=1"},
        {"--ranks", "3", "--set", "zero_optimization.stage=3"},
        {"--ranks-simulated", "3", "--set", "zero_optimization.stage=2"}}) {
    std::vector<std::string> words{"train", "tiny.toml", "--set", "run.name=other", "--resume", "never"};
    words.insert(words.end(), layout.begin(), layout.end());
    ASSERT_EQ(workplace.ferula(words).code, 0);
    const std::vector<double> losses = metric(workplace, "other", "loss");
    ASSERT_EQ(losses.size(), alone.size());
    // f32: the sums of a gradient have another order, which moves a loss by a few units in its last place a step.
    for (std::size_t step = 0; step < alone.size(); ++step) EXPECT_NEAR(losses[step], alone[step], 1e-5 * alone[step]);
  }
}

TEST(TrainSystem, ResumesBitForBitOnTheSameLayout) {
  const Workplace workplace;
  write_tiny_run(workplace, 10);
  ASSERT_EQ(workplace.ferula({"train", "tiny.toml", "--ranks", "2", "--set", "run.name=straight"}).code, 0);
  ASSERT_EQ(workplace.ferula({"train", "tiny.toml", "--ranks", "2", "--set", "training.steps=5"}).code, 0);

  const Outcome resumed = workplace.ferula({"train", "tiny.toml", "--ranks", "2"});

  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(metric(workplace, "tiny", "loss"), ElementsAreArray(metric(workplace, "straight", "loss")));
}

TEST(TrainSystem, AFinishedRunSaysSoAndChangesNothing) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);
  ASSERT_EQ(workplace.ferula({"train", "tiny.toml"}).code, 0);
  const std::string before = workplace.read("runs/tiny/metrics.jsonl");

  const Outcome again = workplace.ferula({"train", "tiny.toml"});

  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.out, AllOf(HasSubstr("finished"), HasSubstr("training.steps=10")));
  EXPECT_EQ(workplace.read("runs/tiny/metrics.jsonl"), before);
}

TEST(TrainSystem, SignalsSaveAndExitAsDocumented) {
  struct Case {
    std::vector<int> signals;
    int code;
    std::vector<std::string> layout;
  };
  for (const Case& each : {Case{{SIGINT}, 130, {"--ranks", "2"}}, Case{{SIGUSR1, SIGTERM}, 75, {"--ranks", "2"}},
                           Case{{SIGUSR1}, 75, {"--ranks-simulated", "2"}}, Case{{SIGINT}, 130, {}},
                           Case{{SIGTERM}, 75, {}}, Case{{SIGHUP}, 75, {}}}) {
    const Workplace workplace;
    write_tiny_run(workplace, 100000);
    std::vector<std::string> words{"train", "tiny.toml", "--set", "checkpoint.every_steps=0"};
    words.insert(words.end(), each.layout.begin(), each.layout.end());

    const Outcome stopped = workplace.ferula_with_signals(
        words, each.signals, [&] { return workplace.lines_of("runs/tiny/metrics.jsonl") >= 3; });

    EXPECT_EQ(stopped.code, each.code) << stopped.err;
    const Outcome verified = workplace.ferula({"checkpoint", "verify", "runs/tiny"});
    EXPECT_EQ(verified.code, 0) << verified.err;
  }
}

TEST(TrainSystem, ASecondInterruptStopsAtOnce) {
  const Workplace workplace;
  write_tiny_run(workplace, 100000);
  const std::set<std::string> before = shared_memory();

  const Outcome stopped = workplace.ferula_with_signals({"train", "tiny.toml", "--ranks", "2"}, {SIGINT, SIGINT}, [&] {
    return workplace.lines_of("runs/tiny/metrics.jsonl") >= 3;
  });

  EXPECT_EQ(stopped.code, 130);
  EXPECT_EQ(shared_memory(), before);
}

TEST(TrainSystem, ADryRunTrainsNothing) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);

  const Outcome plan = workplace.ferula({"train", "tiny.toml", "--dry-run", "--ranks-simulated", "3"});

  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_THAT(plan.out, AllOf(HasSubstr("3 ranks"), HasSubstr("parameters")));
  EXPECT_FALSE(workplace.has("runs"));
}

TEST(TrainSystem, ATextThatIsTooShortIsRefused) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);
  workplace.write("text.txt", "short");

  const Outcome outcome = workplace.ferula({"train", "tiny.toml"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("sequence_length"));
}

TEST(TrainSystem, RunsUnderABareMpirun) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);

  const Outcome run = workplace.run({"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", "2",
                                     FERULA_PROGRAM, "train", "tiny.toml"});

  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("2 ranks"));
}

}  // namespace
}  // namespace ferula::system_tests
