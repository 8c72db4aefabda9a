// Host memory and CPU streams.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "base/narrow.hpp"
#include "device/host_device.hpp"
#include "device/out_of_memory.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kAlignment = 64;
constexpr std::int64_t kHugePage = 2 << 20;

class CpuDevice final : public HostDevice {
 public:
  using HostDevice::HostDevice;
  std::string name() const override { return "cpu"; }

  Buffer allocate(std::int64_t bytes, MemoryKind kind) override {
    FERULA_CHECK(bytes >= 0, "asked for {} bytes", bytes);
    if (bytes == 0) return {};
    const bool large = bytes >= 2 * kHugePage;
    const std::int64_t alignment = large ? kHugePage : kAlignment;
    const auto rounded = narrow<std::size_t>(round_up(bytes, alignment));
    void* memory = std::aligned_alloc(static_cast<std::size_t>(alignment), rounded);
    if (memory == nullptr) throw_out_of_memory(name(), bytes, kind, ledger());
    if (large) madvise(memory, rounded, MADV_HUGEPAGE);  // fewer page walks; refusal costs nothing
    std::memset(memory, 0, rounded);
    return {static_cast<std::byte*>(memory), bytes, kind, &ledger(),
            [](std::byte* data, std::int64_t) { std::free(data); }};
  }
  void copy(Stream& stream, const std::byte* from, std::byte* to, std::int64_t bytes) override {
    FERULA_CHECK(bytes >= 0, "a copy of {} bytes", bytes);
    if (bytes > 0) stream.run([from, to, bytes] { std::memcpy(to, from, narrow<std::size_t>(bytes)); });
  }
};

}  // namespace

std::unique_ptr<Device> make_cpu_device(MemoryLedger& ledger) { return std::make_unique<CpuDevice>(ledger); }

}  // namespace ferula
