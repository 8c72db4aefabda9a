// From a configuration to the job that trains it.
#include "app/jobs/job_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/message_of.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;

TEST(JobPlan, RefusesAProfileThatDoesNotExist) {
  const ScratchDirectory scratch;
  const std::string config =
      scratch.write("my.toml", "[data]\ntext = [\"a\"]\n[training]\nsteps = 1\ntrain_batch_size = 1\n");

  for (const char* profile : {"prometeus", "./nosuch.toml", "/"})
    EXPECT_THAT(test::message_of<ConfigError>([&] { plan_job(config, {std::string("slurm.profile=") + profile}); }),
                HasSubstr(profile));
}

}  // namespace
}  // namespace ferula
