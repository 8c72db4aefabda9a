// docs/coming_from.md ends with the tables that the program writes.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "interchange/key_mapping.hpp"

namespace ferula {
namespace {

TEST(ComingFrom, ThePageEndsWithTheProgramsTables) {
  std::ostringstream page;
  page << std::ifstream(FERULA_SOURCE_DIR "/docs/coming_from.md", std::ios::binary).rdbuf();

  const bool ends = page.str().ends_with(coming_from_tables());

  EXPECT_TRUE(ends) << "write the output of `ferula config keys --elsewhere` over the tables of docs/coming_from.md";
}

}  // namespace
}  // namespace ferula
