// Runs the tests where a GPU is; elsewhere it says why not and returns 77, which ctest reports as skipped.
#include <gtest/gtest.h>

#include <cstdio>

#include "gpu.hpp"

int main(int count, char** words) {
  testing::InitGoogleTest(&count, words);
  const std::string missing = ferula::gpu_test::why_no_gpu();
  if (!missing.empty() && !testing::GTEST_FLAG(list_tests)) {
    std::printf("skipped: %s\n", missing.c_str());
    return 77;
  }
  return RUN_ALL_TESTS();
}
