// Phases of a step: what is inside another phase is not counted twice.
#include "base/stopwatch.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace ferula {
namespace {

using namespace std::chrono_literals;

TEST(Stopwatch, RestartReturnsTheTimeUntilThen) {
  Stopwatch watch;
  std::this_thread::sleep_for(2ms);

  const double first = watch.restart();

  EXPECT_GE(first, 0.002);  // sleep_for never returns early
  EXPECT_GE(watch.seconds(), 0.0);
}

TEST(PhaseTimes, AnInnerPhaseTakesItsTimeFromTheOuterOne) {
  PhaseTimes times;
  Stopwatch watch;

  {
    const PhaseTimes::Scope outer(times, Phase::forward);
    const PhaseTimes::Scope inner(times, Phase::communication);
    std::this_thread::sleep_for(5ms);
  }

  EXPECT_GE(times.seconds(Phase::communication), 0.005);
  EXPECT_GE(times.seconds(Phase::forward), 0.0);
  EXPECT_LE(times.total_seconds(), watch.seconds());
}

TEST(PhaseTimes, AddsUpRepeatedPhases) {
  PhaseTimes times;

  for (int repetition = 0; repetition < 3; ++repetition) {
    const PhaseTimes::Scope scope(times, Phase::data);
    std::this_thread::sleep_for(1ms);
  }

  EXPECT_GE(times.seconds(Phase::data), 0.003);
  EXPECT_EQ(times.seconds(Phase::optimizer), 0.0);
}

TEST(PhaseTimes, NamesEveryPhaseAsTheSummaryDoes) {
  EXPECT_EQ(name_of(Phase::forward), "forward");
  EXPECT_EQ(name_of(Phase::checkpoint), "checkpoint");
}

}  // namespace
}  // namespace ferula
