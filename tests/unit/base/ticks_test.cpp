// Marks of time beside the system's clock.
#include "base/ticks.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace ferula {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// Marks lie between readings of the clock, so that whoever interrupts this changes nothing.
void expect_the_time_of_the_clock(std::chrono::milliseconds sleep) {
  const Clock::time_point before_first = Clock::now();
  const std::int64_t first = ticks_now();
  const Clock::time_point behind_first = Clock::now();
  std::this_thread::sleep_for(sleep);
  const Clock::time_point before_last = Clock::now();
  const std::int64_t last = ticks_now();
  const Clock::time_point behind_last = Clock::now();

  const double seconds = seconds_of_ticks(last - first);
  EXPECT_GE(seconds, 0.995 * seconds_between(behind_first, before_last));
  EXPECT_LE(seconds, 1.005 * seconds_between(before_first, behind_last));
}

TEST(Ticks, TellTheTimeOfTheClockSoonAndLater) {
  for (const int milliseconds : {20, 150, 20}) expect_the_time_of_the_clock(std::chrono::milliseconds(milliseconds));
}

TEST(Ticks, OfAllThreadsCanBeCompared) {
  std::int64_t later = 0;
  const std::int64_t before = ticks_now();
  std::thread([&later] { later = ticks_now(); }).join();

  EXPECT_LT(before, later);
  EXPECT_LT(later, ticks_now());
}

}  // namespace
}  // namespace ferula
