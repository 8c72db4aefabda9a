// A call that is left behind when it takes too long.
#include "base/bounded_call.hpp"

#include <gtest/gtest.h>

#include <latch>
#include <memory>

namespace ferula {
namespace {

using namespace std::chrono_literals;

TEST(BoundedCall, EndsWithTheCall) {
  bool ran = false;

  EXPECT_TRUE(ends_within(60s, [&] { ran = true; }));
  EXPECT_TRUE(ran);
}

TEST(BoundedCall, LeavesACallThatWaitsForNobodyBehind) {
  const auto answered = std::make_shared<std::latch>(1), gone = std::make_shared<std::latch>(1);

  EXPECT_FALSE(ends_within(20ms, [answered, gone] {
    answered->wait();
    gone->count_down();
  }));

  answered->count_down();
  gone->wait();  // so that the thread does not outlive the test
}

}  // namespace
}  // namespace ferula
