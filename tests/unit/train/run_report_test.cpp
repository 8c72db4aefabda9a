// What a run says at its end of how to go on.
#include "train/run_report.hpp"

#include <gtest/gtest.h>

namespace ferula {
namespace {

TEST(LongerCommand, ReplacesWhatTheCommandSaidOfTheSameKey) {
  EXPECT_EQ(longer_command("ferula train my.toml --set training.steps=24 --ranks 2 --set=training.steps=30",
                           "training.steps=60"),
            "ferula train my.toml --ranks 2 --set training.steps=60");
  EXPECT_EQ(longer_command("ferula train my.toml --set 'training.epochs=0.5' --set run.name=a",
                           "training.epochs=auto --set training.steps=2"),
            "ferula train my.toml --set run.name=a --set training.epochs=auto --set training.steps=2");
  EXPECT_EQ(longer_command("ferula train my.toml --set run.name=training.steps", "training.steps=2"),
            "ferula train my.toml --set run.name=training.steps --set training.steps=2");
}

}  // namespace
}  // namespace ferula
