#include "device/counting_device.hpp"

#include <sys/mman.h>

#include "base/narrow.hpp"
#include "device/host_device.hpp"
#include "device/out_of_memory.hpp"

namespace ferula {
namespace {

class CountingDevice final : public HostDevice {
 public:
  using HostDevice::HostDevice;
  std::string name() const override { return "no device, memory is only counted"; }

  Buffer allocate(std::int64_t bytes, MemoryKind kind) override {
    FERULA_CHECK(bytes >= 0, "asked for {} bytes", bytes);
    if (bytes == 0) return {};
    void* reserved =
        mmap(nullptr, narrow<std::size_t>(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) throw_out_of_memory(name(), bytes, kind, ledger());
    return {static_cast<std::byte*>(reserved), bytes, kind, &ledger(),
            [](std::byte* data, std::int64_t size) { munmap(data, narrow<std::size_t>(size)); }};
  }
  void copy(Stream&, const std::byte*, std::byte*, std::int64_t bytes) override {
    FERULA_CHECK(bytes == 0, "a copy of {} bytes of memory that is only counted", bytes);
  }
};

}  // namespace

std::unique_ptr<Device> make_counting_device(MemoryLedger& ledger) { return std::make_unique<CountingDevice>(ledger); }

}  // namespace ferula
