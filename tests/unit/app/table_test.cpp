// Columns of plain tables.
#include "app/table.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace ferula {
namespace {

TEST(Table, AlignsTheFirstColumnLeftAndTheOthersRight) {
  Table table({"name", "n"});
  table.add({"a", "1000"});
  table.add({"longer", "7"});

  EXPECT_EQ(table.text(),
            "name       n\n"
            "a       1000\n"
            "longer     7\n");
}

TEST(Table, AlignsALastColumnOfTextsLeft) {
  Table table({"name", "n", "state"}, Table::Last::text);
  table.add({"a", "1000", "well"});
  table.add({"b", "7", "failed: a long story"});

  EXPECT_EQ(table.text(),
            "name     n  state\n"
            "a     1000  well\n"
            "b        7  failed: a long story\n");
}

TEST(Table, CountsCharactersAndNotBytes) {
  Table table({"x", "y"});
  table.add({"\u03a8", "1"});

  EXPECT_EQ(table.text(), "x  y\n\u03a8  1\n");
}

TEST(Table, LeavesNoTrailingSpaces) {
  Table table({"a", "b"});
  table.add({"x", ""});

  EXPECT_EQ(table.text(), "a  b\nx\n");
}

TEST(Table, RefusesARowOfAnotherLength) {
  Table table({"a", "b"});

  EXPECT_THROW(table.add({"1"}), Error);
}

}  // namespace
}  // namespace ferula
