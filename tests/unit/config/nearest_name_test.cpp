// Edit distance and the choice of the nearest name.
#include "config/nearest_name.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace ferula {
namespace {

TEST(EditDistance, CountsEachKindOfEditOnce) {
  EXPECT_EQ(edit_distance("stage", "stage"), 0);
  EXPECT_EQ(edit_distance("stge", "stage"), 1);
  EXPECT_EQ(edit_distance("staage", "stage"), 1);
  EXPECT_EQ(edit_distance("stoge", "stage"), 1);
  EXPECT_EQ(edit_distance("satge", "stage"), 1);
  EXPECT_EQ(edit_distance("", "stage"), 5);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

TEST(NearestName, IgnoresCase) {
  const std::vector<std::string> names = {"Adam", "AdamW", "Lion"};

  EXPECT_EQ(nearest_name("adamw", names), "AdamW");
  EXPECT_EQ(nearest_name("LOIN", names), "Lion");
}

TEST(NearestName, StaysSilentWhereNothingIsNear) {
  const std::vector<std::string> names = {"lr", "betas", "eps"};

  EXPECT_EQ(nearest_name("momentum", names), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(5000, 'l'), names), std::nullopt);
}

}  // namespace
}  // namespace ferula
