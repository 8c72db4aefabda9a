// What a user sees when GPUs or NCCL fail: the program with a backend of made-up GPUs (tests/fake_gpu).
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

/// Each fault must have ended the job by then, on machines that are busy with other things, too.
constexpr const char* kSecondsAtMost = "30";
constexpr int kTooLate = 124;  // what `timeout` ends with

class GpuFaultsSystem : public testing::Test {
 protected:
  /// `ferula train` on GPUs with these faults.
  Outcome train(const std::string& faults, const std::vector<std::string>& more = {}) const {
    return train_with_driver(FERULA_FAKE_DRIVER, faults, more);
  }
  Outcome train_with_driver(const std::string& driver, const std::string& faults,
                            const std::vector<std::string>& more = {}) const {
    const Workplace workplace;
    write_tiny_run(workplace, 4);
    std::vector<std::string> words{"timeout", kSecondsAtMost, "env", "FERULA_FAKE_GPU=" + faults};
    if (!driver.empty()) words.push_back("LD_LIBRARY_PATH=" + driver);
    words.insert(words.end(), {FERULA_FAKE_GPU_PROGRAM, "train", "tiny.toml", "--set", "run.device=cuda"});
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = workplace.run(words);
    EXPECT_NE(outcome.code, kTooLate) << faults;
    return outcome;
  }
};

TEST_F(GpuFaultsSystem, NoneAndTheRunIsDone) {
  for (const std::vector<std::string>& ranks : {std::vector<std::string>{"--ranks", "2"}, {"--ranks-simulated", "2"}}) {
    const Outcome outcome = train("", ranks);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("cuda:1"), HasSubstr("Imaginary 9")));
  }
  EXPECT_EQ(train("nccl=22809,22809", {"--ranks-simulated", "2"}).code, 0);
}

TEST_F(GpuFaultsSystem, TheDoctorTellsWhatGpusCanDo) {
  const Workplace workplace;
  const auto features = [&](const std::string& faults) {
    return workplace
        .run({"env", "FERULA_FAKE_GPU=" + faults, "LD_LIBRARY_PATH=" FERULA_FAKE_DRIVER, FERULA_FAKE_GPU_PROGRAM,
              "doctor", "--features"})
        .out;
  };

  EXPECT_THAT(features("nccl=22809,22809"),
              AllOf(ContainsRegex("yes +CUDA +Imaginary 9\n"), ContainsRegex("yes +NCCL +2\\.28\\.9\n")));
  EXPECT_THAT(features(""), AllOf(ContainsRegex("yes +CUDA "), ContainsRegex("no +NCCL +.*through the host")));
  EXPECT_THAT(features("driver=old"), AllOf(ContainsRegex("no +CUDA +.*driver"), ContainsRegex("no +NCCL ")));
}

TEST_F(GpuFaultsSystem, AMissingDriverIsNamed) {
  if (void* driver = dlopen("libcuda.so.1", RTLD_LAZY); driver != nullptr) GTEST_SKIP() << "this machine has a driver";

  const Outcome outcome = train_with_driver("", "");

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("NVIDIA's driver on"), HasSubstr("libcuda.so.1"), HasSubstr("\"cpu\"")));
}

TEST_F(GpuFaultsSystem, ADriverThatIsTooOldIsToldWithTheHost) {
  const Outcome outcome = train("driver=old");

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr(": looking for GPUs: CUDA driver version is insufficient"));
}

TEST_F(GpuFaultsSystem, NoVisibleGpuIsToldWithWhatHidesThem) {
  const Outcome outcome = train("gpus=0");

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("expected a GPU on"), HasSubstr("CUDA_VISIBLE_DEVICES"),
                                 HasSubstr("--gpus-per-task=1"), HasSubstr("nvidia-smi")));
}

TEST_F(GpuFaultsSystem, TooLittleMemoryNamesRankGpuWhatIsHeldAndWhatHelps) {
  const auto tells = [](const std::string& who) {
    return AllOf(HasSubstr(who), HasSubstr("out of memory on cuda:"), HasSubstr("asked for"),
                 HasSubstr("this rank holds parameters"), HasSubstr("zero_optimization.stage"));
  };

  const Outcome alone = train("memory=1");
  EXPECT_EQ(alone.code, 3);
  EXPECT_THAT(alone.err, tells("rank 0 of 1 ("));
  const Outcome of_two = train("memory=1", {"--ranks", "2"});
  EXPECT_EQ(of_two.code, 3);
  EXPECT_THAT(of_two.err, tells(" of 2 ("));
}

/// 19 million parameters in f32: 145 MiB of moments beside as much of values and gradients.
std::vector<std::string> large_run(const std::string& offload) {
  return {"--set", "model.width=512",   "--set", "model.layers=6",
          "--set", "model.heads=8",     "--set", "zero_optimization.offload_optimizer.device=" + offload,
          "--set", "bf16.enabled=false"};
}

TEST_F(GpuFaultsSystem, OffloadedStateLeavesTheGpuAndTheAdviceSaysSo) {
  const Outcome without = train("memory=256", large_run("none"));
  const Outcome with = train("memory=256", large_run("cpu"));

  EXPECT_EQ(without.code, 3);
  EXPECT_THAT(without.err, AllOf(HasSubstr("out of memory on cuda:0"),
                                 ContainsRegex("offload_optimizer.device = \"cpu\" would move [0-9.]+ MiB of it")));
  EXPECT_EQ(with.code, 0) << with.err;
  EXPECT_THAT(with.out,
              AllOf(ContainsRegex("host memory +[0-9.]+ MiB a rank expected of .*: offloaded optimizer state"),
                    ContainsRegex("all +on the host\n"), ContainsRegex("optimizer 0 ?B")));
}

TEST_F(GpuFaultsSystem, AFailingLaunchEndsAllRanksWithItsOwn) {
  for (const std::vector<std::string>& ranks : {std::vector<std::string>{"--ranks", "2"}, {"--ranks-simulated", "2"}}) {
    const Outcome outcome = train("launches=1:20", ranks);

    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("rank 1 of 2"), HasSubstr("cuda:1 (Imaginary 9): launch of linear")));
  }
}

TEST_F(GpuFaultsSystem, VersionsOfNcclThatDifferAreRefusedOnce) {
  const Outcome outcome = train("nccl=22809,21803", {"--ranks-simulated", "2"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("2.28.9 on rank 0 ("), HasSubstr("2.18.3 on rank 1 ("), HasSubstr("GPU-1"),
                                 HasSubstr("FERULA_NCCL_LIBRARY")));
}

TEST_F(GpuFaultsSystem, ACollectiveThatNeverEndsIsNamedWithRankHostAndGpu) {
  const Outcome outcome =
      train("nccl=22809,22809 collective=hangs", {"--ranks-simulated", "2", "--set", "debug.collective_timeout_s=4"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("has waited for more than 4000 ms for its peers"), HasSubstr("of group '"),
                                 HasSubstr("rank "), HasSubstr("Imaginary 9, GPU-"), HasSubstr("NCCL_DEBUG=INFO")));
}

TEST_F(GpuFaultsSystem, ARankThatDiesInACollectiveOfNcclEndsTheOthers) {
  const Outcome outcome = train("nccl=22809,22809 collective=dies", {"--ranks-simulated", "2"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("remote process exited"), HasSubstr("of group '"),
                                 HasSubstr("Imaginary 9, GPU-"), HasSubstr("NCCL_DEBUG=INFO")));
}

}  // namespace
}  // namespace ferula::system_tests
