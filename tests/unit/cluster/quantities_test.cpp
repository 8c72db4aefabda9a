// SLURM's times and sizes, in and out.
#include "cluster/quantities.hpp"

#include <gtest/gtest.h>

namespace ferula {
namespace {

struct TimeCase {
  const char* text;
  std::optional<std::int64_t> seconds;
};

TEST(SlurmTime, IsReadInEveryFormOfSbatch) {
  const TimeCase cases[] = {{"30", 1800},
                            {"30:15", 1815},
                            {"4:00:00", 14400},
                            {"1-0", 86400},
                            {"1-12:30", 131400},
                            {"7-00:00:00", 604800},
                            {"UNLIMITED", kNoTimeLimit},
                            {"", std::nullopt},
                            {"1-", std::nullopt},
                            {"1:2:3:4", std::nullopt},
                            {"-5", std::nullopt},
                            {"4h", std::nullopt},
                            {"99999999999", std::nullopt}};
  for (const TimeCase& each : cases) EXPECT_EQ(seconds_of_slurm_time(each.text), each.seconds) << each.text;
}

TEST(SlurmTime, IsWrittenAsItIsRead) {
  for (const char* text : {"0:01:30", "4:00:00", "1-00:00:00", "7-01:02:03", "UNLIMITED"})
    EXPECT_EQ(slurm_time(seconds_of_slurm_time(text).value_or(-1)), text);
}

TEST(SlurmMemory, CountsMebibytesUnlessAUnitIsGiven) {
  EXPECT_EQ(mebibytes_of_slurm_memory("512"), 512);
  EXPECT_EQ(mebibytes_of_slurm_memory("128G"), 131072);
  EXPECT_EQ(mebibytes_of_slurm_memory("3T"), 3145728);
  EXPECT_EQ(mebibytes_of_slurm_memory("1025K"), 2);
  for (const char* text : {"", "G", "12X", "-1G", "1.5G", "1000001T"})
    EXPECT_FALSE(mebibytes_of_slurm_memory(text)) << text;
}

TEST(SlurmMemory, IsWrittenInWholeUnits) {
  EXPECT_EQ(slurm_memory(131072), "128G");
  EXPECT_EQ(slurm_memory(1536), "1536M");
}

}  // namespace
}  // namespace ferula
