// How numbers are spelled for people.
#include "base/human.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace ferula {
namespace {

TEST(HumanBytes, UsesTheBinaryUnitThatFits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.50 KiB");
  EXPECT_EQ(human_bytes(96 << 20), "96.0 MiB");
  EXPECT_EQ(human_bytes(std::int64_t{5} << 28), "1.25 GiB");
  EXPECT_EQ(human_bytes(std::int64_t{3000} << 40), "3000 TiB");
}

TEST(HumanBytes, MovesToTheNextUnitBeforeFourDigits) {
  EXPECT_EQ(human_bytes(1023 * 1024), "1.00 MiB");
  EXPECT_EQ(human_bytes(999 * 1024), "999 KiB");
}

TEST(HumanGibibytes, AlwaysHasTwoDigits) {
  EXPECT_EQ(human_gibibytes(0), "0.00 GiB");
  EXPECT_EQ(human_gibibytes(450'971'566), "0.42 GiB");
}

TEST(HumanCount, KeepsThreeDigits) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(10'900), "10.9k");
  EXPECT_EQ(human_count(4'830'000), "4.83M");
  EXPECT_EQ(human_count(1.1e9), "1.10B");
  EXPECT_EQ(human_count(999'999), "1.00M");
  EXPECT_EQ(human_count(-1500), "-1.50k");
}

TEST(HumanCount, SaysNothingAboutAnUndefinedNumber) {
  EXPECT_EQ(human_count(std::numeric_limits<double>::quiet_NaN()), "-");
  EXPECT_EQ(human_count(std::numeric_limits<double>::infinity()), "-");
}

TEST(HumanDuration, CountsMinutesHoursAndDays) {
  EXPECT_EQ(human_duration(8.4), "0:08");
  EXPECT_EQ(human_duration(59.6), "1:00");
  EXPECT_EQ(human_duration(3723), "1:02:03");
  EXPECT_EQ(human_duration(2 * 86400 + 3 * 3600), "2d 3:00:00");
}

TEST(HumanDuration, SaysNothingAboutAnUndefinedDuration) {
  EXPECT_EQ(human_duration(-1), "-");
  EXPECT_EQ(human_duration(std::numeric_limits<double>::quiet_NaN()), "-");
  EXPECT_EQ(human_duration(std::numeric_limits<double>::infinity()), "-");
}

TEST(ShellWord, IsQuotedWhereAShellWouldTakeItApart) {
  EXPECT_EQ(shell_word("runs/my"), "runs/my");
  EXPECT_EQ(shell_word("two words"), "'two words'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
}

}  // namespace
}  // namespace ferula
