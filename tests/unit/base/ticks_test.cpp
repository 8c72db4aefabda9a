// Marks of time beside the system's clock.
#include "base/ticks.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace ferula {
namespace {

/// What both say of a sleep, as a ratio.
double ticks_over_clock(std::chrono::milliseconds sleep) {
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t mark = ticks_now();
  std::this_thread::sleep_for(sleep);
  const std::int64_t ticks = ticks_now() - mark;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return seconds_of_ticks(ticks) / elapsed.count();
}

TEST(Ticks, TellTheTimeOfTheClockSoonAndLater) {
  EXPECT_NEAR(ticks_over_clock(std::chrono::milliseconds(20)), 1.0, 0.02);
  EXPECT_NEAR(ticks_over_clock(std::chrono::milliseconds(150)), 1.0, 0.01);
  EXPECT_NEAR(ticks_over_clock(std::chrono::milliseconds(20)), 1.0, 0.02);
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
