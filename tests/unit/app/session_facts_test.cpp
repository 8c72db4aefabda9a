// What a run tells of itself before it starts.
#include "app/session_facts.hpp"

#include <gtest/gtest.h>

namespace ferula {
namespace {

TEST(LongerSettings, DoubleWhatIsConfiguredOrDone) {
  Config written;
  written.training.steps = Auto<std::int64_t>(20);

  EXPECT_EQ(longer_settings(written, written, 0), "training.steps=40");
  EXPECT_EQ(longer_settings(written, written, 60), "training.steps=120");
}

TEST(LongerSettings, TakeAScheduleOfItsOwnLengthAlong) {
  Config written;
  written.training.steps = Auto<std::int64_t>(20);
  written.scheduler.params.total_num_steps = Auto<std::int64_t>(20);

  EXPECT_EQ(longer_settings(written, written, 20), "training.steps=40 --set scheduler.params.total_num_steps=40");
}

TEST(LongerSettings, AreInTheUnitThatTheUserChose) {
  Config written;
  written.training.epochs = Auto<double>(0.5);
  Config resolved = written;
  resolved.training.steps = Auto<std::int64_t>(10);

  EXPECT_EQ(longer_settings(written, resolved, 10), "training.epochs=1");
  EXPECT_EQ(longer_settings(written, resolved, 20), "training.epochs=2");
  resolved.training.steps = Auto<std::int64_t>(1);  // all that a thousandth of a small text is
  EXPECT_EQ(longer_settings(written, resolved, 1), "training.epochs=auto --set training.steps=2");
}

}  // namespace
}  // namespace ferula
