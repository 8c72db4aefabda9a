// How long a step takes, from what runs have measured or from a stated assumption.
#include "app/plan/pace.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

/// A run of two ranks with three threads each. Of ten steps of 0.5 s they computed four fifths and did 600 GFLOP/s.
std::string summary(std::string_view processor, std::int64_t parameters, std::string_view dtype = "f32",
                    std::string_view device = "cpu", int stage = 1, std::string_view other_host = "here") {
  return fmt::format(
      R"({{"layout": {{"ranks": 2, "zero_stage": {}}}, "parameters": {}, "memory_expected": {{"all": 990}},
 "seconds": {{"forward": 1.0, "backward": 2.0, "optimizer": 0.9, "data": 0.1, "communication": 1.0}},
 "speed": {{"processor": "{}", "threads": 3, "dtype": "{}", "step_seconds": 0.5, "flops_per_token": 1.0,
            "flops_per_second": 600e9, "peak_flops_per_second": 1200e9}},
 "ranks": [{{"device": "{}", "host": "here", "memory": {{"peak": 1000}}, "step_seconds": 0.4,
            "communication": {{"all_reduce": {{"bytes": 400}}, "all_gather": {{"bytes": 100}}}}}},
           {{"host": "{}"}}]}})",
      stage, parameters, processor, dtype, device, other_host);
}

void plant(const ScratchDirectory& folder, const std::string& run, const std::string& text) {
  folder.write(run + "/config.toml", "");
  folder.write(run + "/summary.json", text);
}

TEST(RunHistory, ReadsWhatARunHasMeasured) {
  const ScratchDirectory folder;
  plant(folder, "good", summary("Example 9000", 1000));
  plant(folder, "damaged", summary("Example 9000", 1000).substr(0, 300));
  plant(folder, "old", R"({"layout": {"ranks": 2}, "ranks": []})");
  folder.write("fresh/config.toml", "");

  const std::vector<MeasuredRun> history = read_history(folder.path());

  ASSERT_THAT(history, SizeIs(1));
  EXPECT_EQ(history[0].run, folder.path("good"));
  EXPECT_DOUBLE_EQ(history[0].flops_per_second, 600e9 / 6 / 0.8) << "of a thread while it computes";
  EXPECT_DOUBLE_EQ(history[0].seconds_per_byte.value(), 0.1 / 50.0) << "a fifth of 0.5 s for 500 bytes in ten steps";
  EXPECT_DOUBLE_EQ(history[0].peak_share.value(), 0.5);
  EXPECT_EQ(history[0].expected_bytes, 990);
  EXPECT_EQ(history[0].counted_bytes, 1000);
}

TEST(RunHistory, CountsNoGathersThatMovedNothing) {
  const ScratchDirectory folder;
  plant(folder, "one host", summary("Example 9000", 1000, "f32", "cpu", 3));
  plant(folder, "two hosts", summary("Example 9000", 1000, "f32", "cpu", 3, "elsewhere"));
  plant(folder, "cards", summary("Example 9000", 1000, "f32", "cuda:0", 3));

  std::map<std::string, double> seconds_per_byte;
  for (const MeasuredRun& run : read_history(folder.path()))
    seconds_per_byte[std::filesystem::path(run.run).filename()] = run.seconds_per_byte.value();

  EXPECT_DOUBLE_EQ(seconds_per_byte.at("one host"), 0.1 / 40.0);
  EXPECT_DOUBLE_EQ(seconds_per_byte.at("two hosts"), 0.1 / 50.0);
  EXPECT_DOUBLE_EQ(seconds_per_byte.at("cards"), 0.1 / 50.0);
}

TEST(RunHistory, TakesTheRunThatIsMostAlike) {
  const auto run = [](const char* name, std::int64_t parameters, int ranks, int written) {
    return MeasuredRun{.run = name,
                       .processor = "NVIDIA RTX A5000",
                       .dtype = "bf16",
                       .on_gpu = true,
                       .ranks = ranks,
                       .parameters = parameters,
                       .written = std::filesystem::file_time_type(std::chrono::seconds(written))};
  };
  std::vector<MeasuredRun> history{run("small", 10, 1, 9), run("two ranks", 100, 2, 9), run("older", 100, 1, 1),
                                   run("newer", 100, 1, 2)};
  RunLikeness wanted{.on_gpu = true, .processor = "A5000", .dtype = "bf16", .parameters = 120, .ranks = 1};

  EXPECT_EQ(nearest_run(history, wanted)->run, "newer");
  wanted.ranks = 2;
  EXPECT_EQ(nearest_run(history, wanted)->run, "two ranks");
  wanted.parameters = 12;
  EXPECT_EQ(nearest_run(history, wanted)->run, "small");
  wanted.dtype = "f32";
  EXPECT_EQ(nearest_run(history, wanted), nullptr);
  EXPECT_EQ(nearest_run(history, {.on_gpu = true, .processor = "H100", .dtype = "bf16", .parameters = 1}), nullptr);
}

/// A step of two micro batches of four samples, which sends 800 bytes.
PlannedLayout layout_on(int ranks) {
  PlannedLayout layout{.ranks = ranks, .micro_batch = 4, .accumulation = 2};
  layout.traffic[0].bytes = 800;
  return layout;
}

TEST(Pace, IsThatOfTheMeasuredRun) {
  const ScratchDirectory folder;
  plant(folder, "good", summary("Example 9000", 1000));
  const std::vector<MeasuredRun> history = read_history(folder.path());
  const RunLikeness wanted{.processor = "Example 9000", .dtype = "f32", .parameters = 1000, .ranks = 2};
  const Pace pace = host_pace(6, 8, history, wanted);

  const double samples_a_second = pace.flops_per_second * 6 / 2;  // of one rank, with a FLOP a sample
  const StepTime two = step_time(layout_on(2), 1.0, pace).value();
  const StepTime four = step_time(layout_on(4), 1.0, pace).value();

  EXPECT_DOUBLE_EQ(two.computing_s, 8 / samples_a_second);
  EXPECT_DOUBLE_EQ(four.computing_s, 2 * two.computing_s) << "four ranks share the threads of two";
  EXPECT_DOUBLE_EQ(two.sending_s, 800 * 0.002) << "as much a byte as the run";
  EXPECT_DOUBLE_EQ(four.sending_s, 800 * 0.002 * 1.5) << "three quarters instead of a half cross the link";
  EXPECT_THAT(pace.computing, AllOf(HasSubstr("50 % of the probed peak"), HasSubstr(folder.path("good"))));
}

TEST(Pace, OfACardIsAnAssumptionUntilARunHasMeasuredIt) {
  const GpuCardType card = cards_named({"a5000"}).front();
  const RunLikeness wanted{.on_gpu = true, .processor = card.word, .dtype = "bf16", .parameters = 1000, .ranks = 2};
  const ScratchDirectory folder;
  plant(folder, "host", summary("AMD A5000", 1000, "bf16"));
  const Pace assumed = card_pace(card, read_history(folder.path()), wanted);
  plant(folder, "gpu", summary("NVIDIA RTX A5000", 1000, "bf16", "cuda:0"));
  const Pace measured = card_pace(card, read_history(folder.path()), wanted);

  EXPECT_THAT(assumed.computing, HasSubstr("assumption: 40 % of its peak"));
  EXPECT_FALSE(assumed.measured.has_value());
  EXPECT_THAT(measured.computing, AllOf(HasSubstr(folder.path("gpu")), Not(HasSubstr("assumption"))));
  EXPECT_DOUBLE_EQ(measured.flops_per_second, 600e9 / 2 / 0.8) << "of a GPU, not of a thread";
  RunLikeness in_f32 = wanted;
  in_f32.dtype = "f32";
  EXPECT_THAT(card_pace(card, {}, in_f32).computing, HasSubstr("unknown"));
  EXPECT_FALSE(step_time(layout_on(2), 1.0, card_pace(card, {}, in_f32)).has_value());
}

TEST(Pace, ATimeIsReadInItsUnit) {
  EXPECT_EQ(time_in_words(0.0031), "3.1 ms");
  EXPECT_EQ(time_in_words(1.0), "1.0 seconds");
  EXPECT_EQ(time_in_words(78.0), "78 seconds");
  EXPECT_EQ(time_in_words(2.0 * 3600), "2.0 hours");
  EXPECT_EQ(time_in_words(86400.0 * 3.4), "3.4 days");
}

}  // namespace
}  // namespace ferula
