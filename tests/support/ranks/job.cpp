#include "support/ranks/job.hpp"

#include <gtest/gtest.h>

#include "base/heap.hpp"

namespace {

ferula::MpiEnvironment* environment = nullptr;

}  // namespace

ferula::MpiEnvironment& ferula::test::job() { return *environment; }

int main(int argc, char** argv) {
  ferula::return_large_pieces_at_once();  // as the program does
  ferula::MpiEnvironment mpi;
  environment = &mpi;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
