// Who starts the ranks, where they print, and what is said of a launcher of another MPI.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class LaunchSystem : public testing::Test {
 protected:
  void SetUp() override { write_tiny_run(workplace_, 2); }
  /// `ferula WORDS` behind shell commands that change its surroundings.
  Outcome ferula_after(const std::string& change, const std::string& words) const {
    return workplace_.run({"bash", "-c", change + "exec " FERULA_PROGRAM " " + words});
  }

  Workplace workplace_;
};

TEST_F(LaunchSystem, EachRankHasALogWhoeverStartedIt) {
  const std::string mpirun = "mpirun --allow-run-as-root --oversubscribe --bind-to none -n 2 ";
  const Outcome own = workplace_.ferula({"train", "tiny.toml", "--ranks", "2", "--per-rank-log", "logs/own"});
  const Outcome users = workplace_.run(
      {"bash", "-c", mpirun + FERULA_PROGRAM " train tiny.toml --set run.name=two --per-rank-log logs/users"});

  EXPECT_EQ(own.code, 0) << own.err;
  EXPECT_EQ(users.code, 0) << users.err;
  for (const char* folder : {"logs/own", "logs/users"}) {
    EXPECT_THAT(workplace_.read(std::string(folder) + "/rank-00000.txt"), HasSubstr("step 2/2"));
    EXPECT_TRUE(workplace_.has(std::string(folder) + "/rank-00001.txt"));
  }
  EXPECT_THAT(own.out, AllOf(HasSubstr("logs/own/rank-00000.txt"), testing::Not(HasSubstr("step 2/2"))));
}

TEST_F(LaunchSystem, AFailureIsToldWithTheLogThatHasIt) {
  const Outcome outcome = workplace_.ferula(
      {"train", "tiny.toml", "--ranks", "2", "--set", "data.text=[\"none\"]", "--per-rank-log", "logs"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("logs/rank-00000.txt"));
  EXPECT_THAT(workplace_.read("logs/rank-00000.txt"), HasSubstr("error: "));
}

TEST_F(LaunchSystem, AnotherMpisMpirunIsNamed) {
  workplace_.write("other/mpirun",
                   "#!/bin/sh\n[ $1 != --version ] || { echo 'HYDRA build details:'; exit; }\nexit 255\n");
  std::filesystem::permissions(workplace_.path() / "other/mpirun", std::filesystem::perms::owner_all);
  workplace_.write("hosts", "localhost slots=2\n");
  const std::string other = "export PATH=$PWD/other:$PATH; ";

  for (const char* words : {"train tiny.toml --ranks 2", "train tiny.toml --hostfile hosts"}) {
    const Outcome outcome = ferula_after(other, words);

    EXPECT_EQ(outcome.code, 1) << words;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("the mpirun in PATH is that of MPICH"), HasSubstr("Open MPI")));
  }
}

TEST_F(LaunchSystem, RanksThatDoNotFindEachOtherSayWhoIsToBlame) {
  const Outcome outcome = ferula_after("export PMI_RANK=0 PMI_SIZE=2; ", "train tiny.toml");

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("a job of 2 ranks"), HasSubstr("srun --mpi=pmix")));
}

TEST_F(LaunchSystem, TheCommandOfAHostfileIsShown) {
  workplace_.write("hosts", "one slots=2\ntwo slots=4\n");

  const Outcome outcome =
      ferula_after("unset LD_LIBRARY_PATH OMP_NUM_THREADS; export NCCL_DEBUG=INFO WANDB_MODE=offline; ",
                   "submit tiny.toml --hostfile hosts --include one@two:1,3 --env-forward 'WANDB_*' --env-forward "
                   "MODE=fast --dry-run");

  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, testing::MatchesRegex(
                               "mpirun --bind-to none (--allow-run-as-root )?-x NCCL_DEBUG -x WANDB_MODE -x MODE=fast "
                               "-n 2 --host one:2 \\S+ train tiny.toml : -n 2 --host two:2 env "
                               "CUDA_VISIBLE_DEVICES=1,3 \\S+ train tiny.toml\n"));
}

TEST_F(LaunchSystem, AHostfileThatIsNoneIsRefusedAsOne) {
  workplace_.write("empty", "\n");
  const auto refusal = [&](const std::string& file) {
    return workplace_.ferula({"train", "tiny.toml", "--hostfile", file}).err;
  };

  EXPECT_THAT(refusal("nosuch"), HasSubstr("`NAME slots=N` for each host, found none at 'nosuch'"));
  EXPECT_THAT(refusal("empty"), HasSubstr("Hostfile is empty or not formatted correctly"));
}

TEST_F(LaunchSystem, WhatARunWillWriteIsForeseen) {
  const Outcome plan = workplace_.ferula({"train", "tiny.toml", "--dry-run"});
  const Outcome doctor = workplace_.ferula({"doctor", "tiny.toml", "--only", "run-forecast"});

  EXPECT_THAT(plan.out, HasSubstr("storage of the run: "));
  EXPECT_EQ(doctor.code, 0) << doctor.err;
  EXPECT_THAT(doctor.out, AllOf(HasSubstr("ok       run-forecast"), HasSubstr("one checkpoint")));
}

}  // namespace
}  // namespace ferula::system_tests
