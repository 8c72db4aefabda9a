// What is refused of a hostfile, and the words of the command that starts its ranks.
#include "app/jobs/host_launch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/jobs/job_plan.hpp"

namespace ferula {
namespace {

CommandLine line_of(const std::vector<std::string>& words) {
  std::vector<OptionSpec> options = host_options();
  options.push_back({"ranks", "N", ""});
  return {"train", options, words};
}

TEST(HostLaunch, StartsThisProgramWithItsVariables) {
  const CommandLine line = line_of({"--env-forward", "MODE=fast"});

  EXPECT_THAT(words_over_hosts(line, {{"a", {0}}}, {"train", "my.toml"}),
              testing::IsSupersetOf({"MODE=fast", this_program().c_str(), "train", "my.toml"}));
}

TEST(HostLaunch, NeedsAHostfileToChooseFrom) {
  EXPECT_FALSE(hosts_named(line_of({})));
  EXPECT_THROW(hosts_named(line_of({"--include", "a"})), ConfigError);
  EXPECT_THROW(hosts_named(line_of({"--hostfile", "hosts", "--ranks", "2"})), ConfigError);
  EXPECT_THROW(hosts_named(line_of({"--hostfile", "/nowhere"})), ConfigError);
}

}  // namespace
}  // namespace ferula
