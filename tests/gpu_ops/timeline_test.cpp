// The timeline of a run, from activities whose times are known.
#include "timeline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ferula::gpu_test {
namespace {

const StepMarks kMarks{.first = "embed_kernel", .update = "update_kernel"};

/// Six steps of 10 µs: embed 2 µs, a product 3 µs, the update 1 µs, and a copy of 4 µs whose first half runs beside
/// them.
std::vector<GpuActivity> six_steps() {
  std::vector<GpuActivity> result;
  for (std::uint64_t step = 0; step < 6; ++step) {
    const std::uint64_t begin = 1'000'000 + step * 10'000;
    result.push_back({"copy to the host", begin + 4'000, begin + 8'000, Work::copy});
    result.push_back({"_Z12embed_kernelPf", begin, begin + 2'000, Work::compute});
    result.push_back({"_Z7productPf", begin + 2'000, begin + 5'000, Work::compute});
    result.push_back({"_Z13update_kernelPf", begin + 5'000, begin + 6'000, Work::compute});
  }
  return result;
}

TEST(Timeline, CountsTheIdleShareOfTheLaterSteps) {
  const Timeline found = look_at(six_steps(), kMarks);

  EXPECT_EQ(found.steps, 3);
  EXPECT_DOUBLE_EQ(found.microseconds, 10.0);
  EXPECT_DOUBLE_EQ(found.busy, 8.0);
  EXPECT_NEAR(found.idle_share(), 0.2, 1e-12);
}

TEST(Timeline, CountsCopiesBesideCompute) {
  const Timeline found = look_at(six_steps(), kMarks);

  EXPECT_DOUBLE_EQ(found.copies, 4.0);
  EXPECT_DOUBLE_EQ(found.copies_beside_compute, 2.0);
  EXPECT_DOUBLE_EQ(found.collectives, 0.0);
}

TEST(Timeline, CountsCollectivesBesideComputeButNotBesideCopies) {
  std::vector<GpuActivity> activities = six_steps();
  for (std::uint64_t step = 0; step < 6; ++step) {  // 1 µs beside the update, 2 µs beside the copy alone
    const std::uint64_t begin = 1'000'000 + step * 10'000;
    activities.push_back({"ncclDevKernel_AllGather_RING_LL", begin + 5'000, begin + 8'000, Work::collective});
  }

  const Timeline found = look_at(std::move(activities), kMarks);

  EXPECT_DOUBLE_EQ(found.collectives, 3.0);
  EXPECT_DOUBLE_EQ(found.collectives_beside_compute, 1.0);
  EXPECT_DOUBLE_EQ(found.copies_beside_compute, 2.0);
  EXPECT_THAT(text_of(found), testing::HasSubstr("\ncollective_microseconds_per_step 3.0\n"
                                                 "collectives_beside_compute 0.3333\n"));
}

TEST(Timeline, ListsTheLongestKernelsFirstByReadableNames) {
  const Timeline found = look_at(six_steps(), kMarks);

  ASSERT_EQ(found.rows.size(), 4u);
  EXPECT_EQ(found.rows[2].name, "embed_kernel");
  EXPECT_DOUBLE_EQ(found.rows[2].microseconds, 2.0);
  EXPECT_DOUBLE_EQ(found.rows[2].launches, 1.0);
}

TEST(Timeline, ListsTheGapsByWhatStandsBesideThem) {
  const Timeline found = look_at(six_steps(), kMarks);

  ASSERT_EQ(found.gaps.size(), 1u);
  EXPECT_EQ(found.gaps[0].after, "copy to the host");
  EXPECT_EQ(found.gaps[0].before, "embed_kernel");
  EXPECT_DOUBLE_EQ(found.gaps[0].microseconds, 2.0);
  EXPECT_DOUBLE_EQ(found.gaps[0].launches, 1.0);
}

TEST(Timeline, KernelsOnTwoStreamsCountOnce) {
  std::vector<GpuActivity> activities = six_steps();
  activities.push_back({"_Z7productPf", 1'042'000, 1'046'000, Work::compute});

  EXPECT_DOUBLE_EQ(look_at(std::move(activities), kMarks).busy, 8.0);
}

TEST(Timeline, LooksAtNoStepBehindTheLastUpdate) {
  std::vector<GpuActivity> activities = six_steps();
  for (std::uint64_t batch = 0; batch < 9; ++batch)  // of a validation
    activities.push_back({"_Z12embed_kernelPf", 1'060'000 + batch * 10'000, 1'062'000 + batch * 10'000, Work::compute});

  const Timeline found = look_at(std::move(activities), kMarks);

  EXPECT_EQ(found.steps, 3);
  EXPECT_DOUBLE_EQ(found.busy, 8.0);
}

TEST(Timeline, HasNoStepsWhereNoneCanBeTold) {
  EXPECT_EQ(look_at({}, kMarks).steps, 0);
  EXPECT_EQ(look_at(six_steps(), {.first = "no such kernel", .update = "update_kernel"}).steps, 0);
}

TEST(Timeline, KernelsOfNcclAreCollectives) {
  EXPECT_EQ(work_of_kernel("_Z30ncclDevKernel_AllGather_RING_LLPv"), Work::collective);
  EXPECT_EQ(work_of_kernel("_Z12embed_kernelPf"), Work::compute);
}

}  // namespace
}  // namespace ferula::gpu_test
