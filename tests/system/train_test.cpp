// A run from its first step to its last, stopped and resumed, as a user meets it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <regex>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ContainsRegex;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::Key;
using testing::Not;
using testing::SizeIs;

/// Has MPI put the files by which it shares memory into a folder of the test's own, instead of everybody's /dev/shm.
class SharedMemoryFolder {
 public:
  explicit SharedMemoryFolder(const Workplace& workplace) : path_(workplace.path() / "shm") {
    std::filesystem::create_directory(path_);
    setenv("OMPI_MCA_btl_vader_backing_directory", path_.c_str(), 1);
  }
  ~SharedMemoryFolder() { unsetenv("OMPI_MCA_btl_vader_backing_directory"); }
  SharedMemoryFolder(const SharedMemoryFolder&) = delete;
  SharedMemoryFolder& operator=(const SharedMemoryFolder&) = delete;

  bool empty() const { return std::filesystem::is_empty(path_); }

 private:
  std::filesystem::path path_;
};

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

TEST(TrainSystem, OffloadedStateChangesNoLossAndResumesEitherWay) {
  const std::string offload = "zero_optimization.offload_optimizer.device=cpu";
  const Workplace workplace;
  write_tiny_run(workplace, 10);
  const auto train = [&](const std::vector<std::string>& sets) {
    std::vector<std::string> words{"train", "tiny.toml",        "--ranks", "2", "--set", "zero_optimization.stage=2",
                                   "--set", "bf16.enabled=true"};
    for (const std::string& set : sets) words.insert(words.end(), {"--set", set});
    const Outcome run = workplace.ferula(words);
    EXPECT_EQ(run.code, 0) << run.err;
    return run.out;
  };

  EXPECT_THAT(train({"run.name=straight"}), Not(HasSubstr("on the host")));
  const std::string out = train({"run.name=host", offload});
  train({"training.steps=5", offload});
  train({});
  train({"run.name=other", "training.steps=5"});
  train({"run.name=other", offload});

  EXPECT_THAT(out, AllOf(HasSubstr("host memory "), HasSubstr("on the host\n"), HasSubstr("optimizer 0 B")));
  const std::vector<double> expected = metric(workplace, "straight", "loss");
  for (const char* run : {"host", "tiny", "other"})
    EXPECT_THAT(metric(workplace, run, "loss"), ElementsAreArray(expected)) << run;
}

/// Every file of a run but log.txt, which tells of each start.
std::map<std::string, std::string> files_of(const Workplace& workplace, const std::string& run) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(workplace.path() / run)) {
    const std::string name = entry.path().lexically_relative(workplace.path());
    if (entry.is_regular_file() && name != run + "/log.txt") files[name] = workplace.read(name);
  }
  return files;
}

TEST(TrainSystem, AFinishedRunSaysSoAndChangesNothing) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);
  ASSERT_EQ(workplace.ferula({"train", "tiny.toml"}).code, 0);
  const auto before = files_of(workplace, "runs/tiny");
  ASSERT_THAT(before, AllOf(Contains(Key("runs/tiny/summary.json")), Contains(Key("runs/tiny/checkpoints/latest"))));
  const std::size_t logged = workplace.lines_of("runs/tiny/log.txt");

  const Outcome again = workplace.ferula({"train", "tiny.toml"});

  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.out, AllOf(HasSubstr("finished"), HasSubstr("training.steps=10")));
  EXPECT_EQ(files_of(workplace, "runs/tiny"), before);
  EXPECT_GT(workplace.lines_of("runs/tiny/log.txt"), logged);
}

TEST(TrainSystem, AFinishedRunSaysSoWhateverBecameOfItsText) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);
  ASSERT_EQ(workplace.ferula({"train", "tiny.toml"}).code, 0);
  const auto before = files_of(workplace, "runs/tiny");
  workplace.write("text.txt", workplace.read("text.txt") + "more");

  const Outcome again = workplace.ferula({"train", "tiny.toml", "--ranks", "2"});
  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.out, HasSubstr("this run is finished: 5 steps are done"));
  EXPECT_THAT(again.err, HasSubstr("the text of data.text has changed"));
  EXPECT_EQ(files_of(workplace, "runs/tiny"), before);

  const Outcome longer = workplace.ferula({"train", "tiny.toml", "--set", "training.steps=10"});
  EXPECT_EQ(longer.code, 1);
  EXPECT_THAT(longer.err, HasSubstr("the text of data.text has changed"));
}

TEST(TrainSystem, ARunThatDivergesBeforeItHasSavedIsPromisedNoCheckpoint) {
  const Workplace workplace;
  write_tiny_run(workplace, 10);

  const Outcome run = workplace.ferula(
      {"train", "tiny.toml", "--set", "optimizer.params.lr=1e30", "--set", "checkpoint.every_steps=0"});

  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("expected a finite gradient norm"), HasSubstr("checkpoint, if there is one")));
  EXPECT_THAT(workplace.read("runs/tiny/summary.json"), HasSubstr("\"slowest_rank\":{\"rank\":0"));
}

constexpr const char* kInterrupted = "interrupted, saved";
constexpr const char* kSaved = "saved after SIGUSR1, SIGTERM or SIGHUP";

TEST(TrainSystem, SignalsSaveAndExitAsDocumented) {
  struct Case {
    std::vector<int> signals;
    int code;
    std::string reason;
    std::vector<std::string> layout;
  };
  for (const Case& each :
       {Case{{SIGINT}, 130, kInterrupted, {"--ranks", "2"}}, Case{{SIGUSR1, SIGTERM}, 75, kSaved, {"--ranks", "2"}},
        Case{{SIGUSR1}, 75, kSaved, {"--ranks-simulated", "2"}}, Case{{SIGINT}, 130, kInterrupted, {}},
        Case{{SIGTERM}, 75, kSaved, {}}, Case{{SIGHUP}, 75, kSaved, {}}}) {
    const Workplace workplace;
    write_tiny_run(workplace, 100000);
    std::vector<std::string> words{"train", "tiny.toml", "--set", "checkpoint.every_steps=0"};
    words.insert(words.end(), each.layout.begin(), each.layout.end());

    const Outcome stopped = workplace.ferula_with_signals(
        words, each.signals, [&] { return workplace.lines_of("runs/tiny/metrics.jsonl") >= 3; });

    EXPECT_EQ(stopped.code, each.code) << stopped.err;
    EXPECT_THAT(workplace.read("runs/tiny/summary.json"), HasSubstr("\"exit_reason\":\"" + each.reason));
    const Outcome verified = workplace.ferula({"checkpoint", "verify", "runs/tiny"});
    EXPECT_EQ(verified.code, 0) << verified.err;
  }
}

TEST(TrainSystem, ASecondInterruptStopsAtOnce) {
  const Workplace workplace;
  write_tiny_run(workplace, 100000);
  const SharedMemoryFolder shared_memory(workplace);

  const Outcome stopped = workplace.ferula_with_signals({"train", "tiny.toml", "--ranks", "2"}, {SIGINT, SIGINT}, [&] {
    return workplace.lines_of("runs/tiny/metrics.jsonl") >= 3;
  });

  EXPECT_EQ(stopped.code, 130);
  EXPECT_TRUE(shared_memory.empty());
}

TEST(TrainSystem, KillingEveryProcessLeavesNoSharedMemory) {
  const Workplace workplace;
  write_tiny_run(workplace, 100000);
  const SharedMemoryFolder shared_memory(workplace);

  workplace.ferula_killed({"train", "tiny.toml", "--ranks", "2"},
                          [&] { return workplace.lines_of("runs/tiny/metrics.jsonl") >= 3; });

  EXPECT_GE(workplace.lines_of("runs/tiny/metrics.jsonl"), 3u);
  EXPECT_TRUE(shared_memory.empty());
}

TEST(TrainSystem, WarnsOnceOfAPeakThatDeepSpeedWouldChooseOtherwise) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);

  const Outcome run = workplace.ferula({"train", "tiny.toml", "--ranks-simulated", "2", "--set",
                                        "scheduler={type=\"WarmupDecayLR\", params={warmup_num_steps=2}}"});

  ASSERT_EQ(run.code, 0) << run.err;
  const std::string all = run.out + run.err;
  const std::size_t first = all.find("in DeepSpeed to 0.001");
  EXPECT_NE(first, std::string::npos) << all;
  EXPECT_EQ(all.find("in DeepSpeed to 0.001", first + 1), std::string::npos);
}

/// The bytes behind each kind in the header's "memory" line, as they are printed: rounded to three digits.
std::vector<double> expected_memory(const std::string& header) {
  const std::regex pattern("(parameters|gradients|optimizer|activations|buffers) ([0-9.]+) (B|KiB|MiB|GiB)");
  const std::size_t begin = header.find("a rank expected");
  const std::string line = header.substr(begin, header.find('\n', begin) - begin);
  std::vector<double> bytes;
  for (std::sregex_iterator found(line.begin(), line.end(), pattern), end; found != end; ++found) {
    const std::string unit = (*found)[3];
    const double factor = unit == "B" ? 1.0 : unit == "KiB" ? 0x1p10 : unit == "MiB" ? 0x1p20 : 0x1p30;
    bytes.push_back(std::stod((*found)[2]) * factor);
  }
  return bytes;
}

/// The same of the first rank in summary.json.
std::vector<double> counted_memory(const std::string& summary) {
  std::vector<double> bytes;
  for (const std::string kind : {"parameters", "gradients", "optimizer", "activations", "buffers"}) {
    const std::string key = "\"" + kind + "\":";
    const std::size_t at = summary.find(key, summary.find("\"memory\""));
    bytes.push_back(std::stod(summary.substr(at + key.size())));
  }
  return bytes;
}

TEST(TrainSystem, ADryRunForeseesTheMemoryThatARunCounts) {
  for (const std::vector<std::string>& layout :
       {std::vector<std::string>{},
        {"--ranks", "2", "--set", "zero_optimization.stage=1", "--set", "bf16.enabled=true"},
        {"--ranks", "3", "--set", "zero_optimization.stage=3", "--set", "bf16.enabled=true"},
        {"--ranks", "2", "--set", "zero_optimization.stage=2"},
        {"--ranks", "4", "--set", "zero_optimization.stage=3", "--set", "zero_optimization.shard_size=2", "--set",
         "training.train_batch_size=16"}}) {
    const Workplace workplace;
    write_tiny_run(workplace, 5);
    std::vector<std::string> words{"train", "tiny.toml", "--set", "model.width=128"};
    words.insert(words.end(), layout.begin(), layout.end());
    std::vector<std::string> dry = words;
    dry.emplace_back("--dry-run");

    const std::vector<double> foreseen = expected_memory(workplace.ferula(dry).out);
    const Outcome run = workplace.ferula(words);

    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_EQ(expected_memory(run.out), foreseen) << "the header of the run tells the same";
    const std::vector<double> counted = counted_memory(workplace.read("runs/tiny/summary.json"));
    ASSERT_EQ(foreseen.size(), counted.size()) << run.out;
    // What is printed has three digits: half a unit of the last one may be 0.5 % more.
    for (std::size_t kind = 0; kind < counted.size(); ++kind) EXPECT_NEAR(foreseen[kind] / counted[kind], 1.0, 0.015);
  }
}

TEST(TrainSystem, ADryRunTrainsNothing) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);

  const Outcome plan = workplace.ferula(
      {"train", "tiny.toml", "--dry-run", "--ranks-simulated", "3", "--set", "zero_optimization.stage=2"});

  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_THAT(plan.out, AllOf(HasSubstr("3 ranks"), HasSubstr("embedding"), HasSubstr("blocks.0 to blocks.1"),
                              ContainsRegex("optimizer +3 +1"), ContainsRegex("parameter +1 +3"),
                              HasSubstr("forward 1 (last)\nbackward 1 (last)\nreduce\nupdate")));
  EXPECT_FALSE(workplace.has("runs"));
}

TEST(TrainSystem, ADryRunOfWhatDoesNotFitEndsWithThree) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);

  const Outcome plan = workplace.ferula({"train", "tiny.toml", "--dry-run", "--ranks-simulated", "2", "--set",
                                         "model.width=131072", "--set", "model.head_dim=64"});

  EXPECT_EQ(plan.code, 3) << plan.out;
  EXPECT_THAT(plan.out, HasSubstr("a rank expected of "));
  EXPECT_THAT(plan.err, AllOf(HasSubstr("does not fit: a rank needs"), HasSubstr("a higher zero_optimization.stage")));
}

TEST(TrainSystem, RunsUnderABareMpirun) {
  const Workplace workplace;
  write_tiny_run(workplace, 5);

  const Outcome run = workplace.run({"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", "2",
                                     FERULA_PROGRAM, "train", "tiny.toml"});

  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("2 ranks"));
  EXPECT_THAT(run.out + run.err, Not(HasSubstr("system call")));  // MPI's complaint of a name that is gone
}

}  // namespace
}  // namespace ferula::system_tests
