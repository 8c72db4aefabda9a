// The words for ZeRO's stages.
#include "params/zero_plan.hpp"

#include <gtest/gtest.h>

namespace ferula {
namespace {

TEST(ZeroPlan, NamesItsStages) {
  EXPECT_EQ(stage_name(0), "No ZeRO (DDP-like)");
  EXPECT_EQ(stage_name(1), "Optimizer state partitioning");
  EXPECT_EQ(stage_name(2), "Optimizer + gradient partitioning");
  EXPECT_EQ(stage_name(3), "Full parameter partitioning");
}

}  // namespace
}  // namespace ferula
