// What the host says of its memory: files of a made-up system, and of this one.
#include "device/host_memory.hpp"

#include <gtest/gtest.h>

#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kMebibyte = 1 << 20;

class HostMemory : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) { scratch_.write(path, text); }
  std::optional<std::int64_t> available() { return available_host_memory(scratch_.path()); }

 private:
  ScratchDirectory scratch_;
};

TEST_F(HostMemory, IsWhatLinuxCallsAvailable) {
  write("proc/meminfo", "MemTotal: 9999999 kB\nMemAvailable:   2048 kB\nSwapFree: 77 kB\n");

  EXPECT_EQ(available(), 2 * kMebibyte);
}

TEST_F(HostMemory, IsUnknownWhereTheSystemDoesNotTell) { EXPECT_EQ(available(), std::nullopt); }

TEST_F(HostMemory, IsBoundByTheTightestGroupAbove) {
  write("proc/meminfo", "MemAvailable: 1048576 kB\n");
  write("proc/self/cgroup", "0::/slurm/job_7/step_0\n");
  write("sys/fs/cgroup/slurm/job_7/step_0/memory.max", "max\n");
  write("sys/fs/cgroup/slurm/job_7/step_0/memory.current", "1048576\n");
  write("sys/fs/cgroup/slurm/job_7/memory.max", "10485760\n");
  write("sys/fs/cgroup/slurm/job_7/memory.current", "4194304\n");
  write("sys/fs/cgroup/slurm/memory.max", "104857600\n");
  write("sys/fs/cgroup/slurm/memory.current", "4194304\n");

  EXPECT_EQ(available(), 6 * kMebibyte);
}

TEST_F(HostMemory, CountsTheFileCacheOfAGroupAsFree) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "10485760\n");
  write("sys/fs/cgroup/memory.current", "9437184\n");
  write("sys/fs/cgroup/memory.stat", "anon 1048576\ninactive_file 2097152\nactive_file 1048576\n");

  EXPECT_EQ(available(), 4 * kMebibyte);
}

TEST_F(HostMemory, ReadsGroupsOfVersionOneWhoseFolderAContainerHides) {
  write("proc/meminfo", "MemAvailable: 1048576 kB\n");
  write("proc/self/cgroup", "9:cpuset:/elsewhere\n5:cpu,memory:/docker/abc\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "8388608\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "3145728\n");

  EXPECT_EQ(available(), 5 * kMebibyte);
}

TEST_F(HostMemory, IsNothingInAGroupThatIsFull) {
  write("proc/self/cgroup", "0::/full\n");
  write("sys/fs/cgroup/full/memory.max", "1048576\n");
  write("sys/fs/cgroup/full/memory.current", "2097152\n");

  EXPECT_EQ(available(), 0);
}

TEST(HostMemoryHere, IsPositiveAndBelowAPetabyte) {
  const auto here = available_host_memory();

  ASSERT_TRUE(here.has_value());
  EXPECT_GT(*here, kMebibyte);
  EXPECT_LT(*here, std::int64_t{1} << 50);
}

}  // namespace
}  // namespace ferula
