// Memory that is only counted, and the name of what computes.
#include "device/counting_device.hpp"

#include <gtest/gtest.h>

#include "device/host_processor.hpp"
#include "device/ledger.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

TEST(CountingDevice, CountsMoreThanAnyMachineHas) {
  constexpr std::int64_t kLarge = std::int64_t{1} << 44;
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_counting_device(ledger);

  {
    const Buffer first = device->allocate(kLarge, MemoryKind::optimizer);
    const Buffer second = device->allocate_shared(kLarge, MemoryKind::buffers);

    EXPECT_NE(first.data(), second.data());
    EXPECT_EQ(ledger.current_bytes(), 2 * kLarge);
  }
  EXPECT_EQ(ledger.current_bytes(), 0);
  EXPECT_EQ(ledger.peak_bytes(MemoryKind::optimizer), kLarge);
}

TEST(HostProcessor, IsNamedByItsMaker) {
  const ScratchDirectory root;
  root.write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Example 9000 8-Core\nmodel name\t: Other\n");

  EXPECT_EQ(host_processor(root.path()), "Example 9000 8-Core");
  EXPECT_EQ(host_processor(root.path("nowhere")), "processor");
}

}  // namespace
}  // namespace ferula
