// How a process learns from its environment that it is a rank.
#include "comm/launch_environment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "base/error.hpp"

namespace ferula {
namespace {

class LaunchEnvironment : public testing::Test {
 protected:
  LaunchEnvironment() { clear(); }
  ~LaunchEnvironment() override { clear(); }
  static void clear() {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "SLURM_STEP_NUM_TASKS",
                             "PMI_RANK", "PMI_SIZE", "SLURM_PROCID", "SLURM_STEP_ID", "SLURM_NTASKS", "SLURM_JOB_ID"})
      unsetenv(name);
  }
  static void set(const char* name, const char* value) { setenv(name, value, 1); }
};

TEST_F(LaunchEnvironment, IsEmptyInAProcessOnItsOwn) { EXPECT_FALSE(launched_rank()); }

TEST_F(LaunchEnvironment, KnowsMpirunSrunAndPmi2) {
  constexpr std::array<std::array<const char*, 2>, 3> kVariables{{{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                                                  {"PMIX_RANK", "SLURM_STEP_NUM_TASKS"},
                                                                  {"PMI_RANK", "PMI_SIZE"}}};
  for (const auto& [rank, ranks] : kVariables) {
    clear();
    set(rank, "2");
    set(ranks, "5");

    const auto launched = launched_rank();

    ASSERT_TRUE(launched) << rank;
    EXPECT_EQ(launched->rank, 2);
    EXPECT_EQ(launched->ranks, 5);
  }
}

TEST_F(LaunchEnvironment, ABatchScriptOfSlurmIsNoRank) {
  set("SLURM_PROCID", "0");
  set("SLURM_NTASKS", "8");

  EXPECT_FALSE(launched_rank());
}

TEST_F(LaunchEnvironment, TasksOfSrunWithoutPmixAreStrangers) {
  for (const auto& [name, value] : {std::pair("SLURM_PROCID", "1"), std::pair("SLURM_STEP_ID", "0")}) set(name, value);
  set("SLURM_STEP_NUM_TASKS", "4");
  EXPECT_EQ(strangers_in_step(), 4);

  set("PMIX_RANK", "1");
  EXPECT_FALSE(strangers_in_step());

  unsetenv("PMIX_RANK");
  set("SLURM_STEP_NUM_TASKS", "1");
  EXPECT_FALSE(strangers_in_step());
}

TEST_F(LaunchEnvironment, KnowsTheJobOfSlurm) {
  EXPECT_EQ(slurm_job(), "");

  set("SLURM_JOB_ID", "4711");

  EXPECT_EQ(slurm_job(), "4711");
}

TEST_F(LaunchEnvironment, ForwardsOursAndNcclsVariables) {
  set("NCCL_DEBUG", "INFO");
  set("FERULA_RUN__SEED", "7");

  const std::vector<std::string> names = forwarded_variables();
  unsetenv("NCCL_DEBUG");
  unsetenv("FERULA_RUN__SEED");

  EXPECT_THAT(names, testing::IsSupersetOf({"FERULA_RUN__SEED", "NCCL_DEBUG"}));
  EXPECT_THAT(names, testing::Not(testing::Contains("PATH")));
}

TEST_F(LaunchEnvironment, ForwardsWhatIsAskedFor) {
  set("WANDB_MODE", "offline");
  set("WANDB_KEY", "k");
  const std::vector<std::string> names = forwarded_variables({"WANDB_*", "MODE=fast"});
  unsetenv("WANDB_MODE");
  unsetenv("WANDB_KEY");

  EXPECT_THAT(names, testing::IsSupersetOf({"WANDB_KEY", "WANDB_MODE"}));
  EXPECT_EQ(names.back(), "MODE=fast");
  EXPECT_THROW(forwarded_variables({"WANDB_KEY"}), ConfigError);
}

TEST_F(LaunchEnvironment, IgnoresVariablesThatMakeNoSense) {
  set("OMPI_COMM_WORLD_RANK", "4");
  set("OMPI_COMM_WORLD_SIZE", "4");
  EXPECT_FALSE(launched_rank());

  set("OMPI_COMM_WORLD_RANK", "one");
  EXPECT_FALSE(launched_rank());
}

}  // namespace
}  // namespace ferula
