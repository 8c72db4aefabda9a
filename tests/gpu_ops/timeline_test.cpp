// The timeline of a run, from activities whose times are known.
#include "timeline.hpp"

#include <gtest/gtest.h>

namespace ferula::gpu_test {
namespace {

/// Six steps of 10 µs: embed 2 µs, a product 4 µs, and a copy whose first half runs beside the product.
std::vector<GpuActivity> six_steps() {
  std::vector<GpuActivity> result;
  for (std::uint64_t step = 0; step < 6; ++step) {
    const std::uint64_t begin = 1'000'000 + step * 10'000;
    result.push_back({"copy to the host", begin + 4'000, begin + 8'000, Work::transfer});
    result.push_back({"_Z12embed_kernelPf", begin, begin + 2'000, Work::compute});
    result.push_back({"_Z7productPf", begin + 2'000, begin + 6'000, Work::compute});
  }
  return result;
}

TEST(Timeline, CountsTheIdleShareOfTheLaterSteps) {
  const Timeline found = look_at(six_steps(), "embed_kernel");

  EXPECT_EQ(found.steps, 3);
  EXPECT_DOUBLE_EQ(found.microseconds, 10.0);
  EXPECT_DOUBLE_EQ(found.busy, 8.0);
  EXPECT_NEAR(found.idle_share(), 0.2, 1e-12);
}

TEST(Timeline, CountsTransfersBesideCompute) {
  const Timeline found = look_at(six_steps(), "embed_kernel");

  EXPECT_DOUBLE_EQ(found.transfer, 4.0);
  EXPECT_DOUBLE_EQ(found.transfer_beside_compute, 2.0);
}

TEST(Timeline, ListsTheLongestKernelsFirstByReadableNames) {
  const Timeline found = look_at(six_steps(), "embed_kernel");

  ASSERT_EQ(found.rows.size(), 3u);
  EXPECT_EQ(found.rows.back().name, "embed_kernel");
  EXPECT_DOUBLE_EQ(found.rows.back().microseconds, 2.0);
  EXPECT_DOUBLE_EQ(found.rows.back().launches, 1.0);
}

TEST(Timeline, KernelsOnTwoStreamsCountOnce) {
  std::vector<GpuActivity> activities = six_steps();
  activities.push_back({"_Z7productPf", 1'042'000, 1'046'000, Work::compute});

  EXPECT_DOUBLE_EQ(look_at(std::move(activities), "embed_kernel").busy, 8.0);
}

TEST(Timeline, HasNoStepsWhereNoneCanBeTold) {
  EXPECT_EQ(look_at({}, "embed_kernel").steps, 0);
  EXPECT_EQ(look_at(six_steps(), "no such kernel").steps, 0);
}

TEST(Timeline, KernelsOfNcclAreTransfers) {
  EXPECT_EQ(work_of_kernel("_Z30ncclDevKernel_AllGather_RING_LLPv"), Work::transfer);
  EXPECT_EQ(work_of_kernel("_Z12embed_kernelPf"), Work::compute);
}

}  // namespace
}  // namespace ferula::gpu_test
