// Words of mpirun for the hosts of a hostfile, and what is refused of them.
#include "app/host_launch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "app/job_plan.hpp"

namespace ferula {
namespace {

/// The words without those that only root's mpirun gets.
std::vector<std::string> words_for(const std::vector<HostSlots>& hosts, const std::string& per_rank_log = "") {
  std::vector<std::string> words = mpirun_words(hosts, {"train", "my.toml"}, {"NCCL_DEBUG"}, per_rank_log);
  std::erase(words, "--allow-run-as-root");
  return words;
}

TEST(HostLaunch, StartsARankOnEverySlot) {
  const std::string program = this_program();

  EXPECT_THAT(words_for({{"a", {0, 1}}, {"b", {0, 2}}}),
              testing::ElementsAre("mpirun", "--bind-to", "none", "-x", "NCCL_DEBUG", "-n", "2", "--host", "a:2",
                                   program, "train", "my.toml", ":", "-n", "2", "--host", "b:2", "env",
                                   "CUDA_VISIBLE_DEVICES=0,2", program, "train", "my.toml"));
}

TEST(HostLaunch, GivesEachRankALog) {
  EXPECT_THAT(words_for({{"a", {0}}}, "logs"), testing::IsSupersetOf({"--output-filename", "logs"}));
}

CommandLine line_of(const std::vector<std::string>& words) {
  std::vector<OptionSpec> options = host_options();
  options.push_back({"ranks", "N", ""});
  return {"train", options, words};
}

TEST(HostLaunch, NeedsAHostfileToChooseFrom) {
  EXPECT_FALSE(hosts_named(line_of({})));
  EXPECT_THROW(hosts_named(line_of({"--include", "a"})), ConfigError);
  EXPECT_THROW(hosts_named(line_of({"--hostfile", "hosts", "--ranks", "2"})), ConfigError);
  EXPECT_THROW(hosts_named(line_of({"--hostfile", "/nowhere"})), ConfigError);
}

}  // namespace
}  // namespace ferula
