// After DeepSpeed's tests/unit/launcher/test_run.py.
#include "cluster/hostfile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.hpp"
#include "cluster/host_list.hpp"

namespace ferula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<HostSlots> parsed(const std::string& text) { return parse_hostfile(text, "hosts"); }

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

const char* const kTwo = "worker-0 slots=2\nworker-1 slots=4\n";

std::vector<HostSlots> filtered(const HostFilter& filter) { return select_hosts(parsed(kTwo), filter); }

TEST(Hostfile, HasAHostALine) {
  EXPECT_THAT(parsed("# all\n\nworker-1 slots=1  # old\n worker-0   slots=2\t\r\n"),
              ElementsAre(HostSlots{"worker-1", {0}}, HostSlots{"worker-0", {0, 1}}));
}

TEST(Hostfile, MayBeOpenMpisOrListNodesAsSlurmDoes) {
  EXPECT_THAT(parsed("a slots=1 max_slots=8\ngpu[08-09] slots=1"),
              ElementsAre(HostSlots{"a", {0}}, HostSlots{"gpu08", {0}}, HostSlots{"gpu09", {0}}));
}

TEST(Hostfile, RefusesWhatDeepSpeedRefuses) {
  EXPECT_THAT(refusal([] { parsed("a slots=1\na slots=2"); }),
              HasSubstr("Hostfile contains multiple entries for a, unable to proceed with launching"));
  for (const char* bad : {"a slots", "a slots=0", "a=4", "a slots=x", "slots=4", "a slots=1 slots=2", "g[1- slots=1"})
    EXPECT_THAT(refusal([&] { parsed(bad); }), HasSubstr(std::string("hosts:1: Hostfile contains a bad entry: ") + bad))
        << bad;
  EXPECT_THAT(refusal([] { parsed("# nobody\n"); }), HasSubstr("Hostfile is empty or not formatted correctly"));
}

TEST(Hostfile, RefusesALineThatIsTooLongToMatch) {
  EXPECT_THAT(refusal([] { parsed("a slots=1\n" + std::string(300'000, 'a') + " slots=4"); }),
              HasSubstr("hosts:2: Hostfile contains a bad entry: 300008 characters"));
}

TEST(HostFilter, IncludesHostsAndSlots) {
  EXPECT_THAT(filtered({.include = "worker-1:0,2"}), ElementsAre(HostSlots{"worker-1", {0, 2}}));
  EXPECT_THAT(filtered({.include = "worker-1:3@worker-0"}),
              ElementsAre(HostSlots{"worker-0", {0, 1}}, HostSlots{"worker-1", {3}}));
  EXPECT_THAT(filtered({.include = "worker-1:0,0,0"}), ElementsAre(HostSlots{"worker-1", {0}}));
}

TEST(HostFilter, ExcludesHostsAndSlots) {
  EXPECT_THAT(filtered({.exclude = "worker-0"}), ElementsAre(HostSlots{"worker-1", {0, 1, 2, 3}}));
  EXPECT_THAT(filtered({.exclude = "worker-0:0,1@worker-1:1"}), ElementsAre(HostSlots{"worker-1", {0, 2, 3}}));
}

TEST(HostFilter, TakesTheFirstHostsAndSlots) {
  EXPECT_THAT(filtered({.num_nodes = 1}), ElementsAre(HostSlots{"worker-0", {0, 1}}));
  EXPECT_THAT(filtered({.num_gpus = 1}), ElementsAre(HostSlots{"worker-0", {0}}, HostSlots{"worker-1", {0}}));
}

TEST(HostFilter, RefusesWhatIsNotThere) {
  EXPECT_THAT(refusal([] { filtered({.include = "worker-2"}); }), HasSubstr("'worker-2' not found in hostfile"));
  EXPECT_THAT(refusal([] { filtered({.exclude = "worker-0:2"}); }),
              HasSubstr("No slot '2' specified on host 'worker-0'"));
  EXPECT_THAT(refusal([] { filtered({.include = "worker-0:"}); }), HasSubstr("No slot ''"));
  EXPECT_THAT(refusal([] { filtered({.include = "worker-0", .exclude = "worker-1"}); }),
              HasSubstr("mutually exclusive"));
  EXPECT_THAT(refusal([] { filtered({.include = "worker-0", .num_nodes = 1}); }),
              HasSubstr("Cannot specify num_nodes/gpus with include/exclude"));
  EXPECT_THAT(refusal([] { filtered({.exclude = "worker-0@worker-1"}); }), HasSubstr("found none"));
  EXPECT_THAT(refusal([] { filtered({.num_gpus = 3}); }), HasSubstr("2 slots of host 'worker-0'"));
}

TEST(HostList, ExpandsBrackets) {
  EXPECT_THAT(*expand_host_list("gpu[01-03,10],login"), ElementsAre("gpu01", "gpu02", "gpu03", "gpu10", "login"));
  EXPECT_THAT(*expand_host_list("r[1-2]n[0-1]"), ElementsAre("r1n0", "r1n1", "r2n0", "r2n1"));
  for (const char* bad : {"", "a,,b", "g[1", "g[2-1]", "g[a]", "g[0-99999999]", "a]"})
    EXPECT_FALSE(expand_host_list(bad)) << bad;
}

}  // namespace
}  // namespace ferula
