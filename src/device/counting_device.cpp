#include "device/counting_device.hpp"

#include <sys/mman.h>

#include "base/narrow.hpp"
#include "device/cpu_stream.hpp"
#include "device/out_of_memory.hpp"

namespace ferula {
namespace {

class CountingDevice final : public Device {
 public:
  explicit CountingDevice(MemoryLedger& ledger) : ledger_(&ledger) {}
  DeviceKind kind() const override { return DeviceKind::cpu; }
  std::string name() const override { return "no device, memory is only counted"; }
  MemoryLedger& ledger() override { return *ledger_; }
  std::unique_ptr<Stream> make_stream() override { return std::make_unique<InlineStream>(); }
  std::unique_ptr<Stream> make_side_stream(std::string_view name) override {
    return std::make_unique<ThreadStream>(std::string(name));
  }

  Buffer allocate(std::int64_t bytes, MemoryKind kind) override {
    FERULA_CHECK(bytes >= 0, "asked for {} bytes", bytes);
    if (bytes == 0) return {};
    void* reserved =
        mmap(nullptr, narrow<std::size_t>(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) throw_out_of_memory(name(), bytes, kind, *ledger_);
    return {static_cast<std::byte*>(reserved), bytes, kind, ledger_,
            [](std::byte* data, std::int64_t size) { munmap(data, narrow<std::size_t>(size)); }};
  }
  Buffer allocate_shared(std::int64_t bytes, MemoryKind kind) override { return allocate(bytes, kind); }
  void copy(Stream&, const std::byte*, std::byte*, std::int64_t bytes) override {
    FERULA_CHECK(bytes == 0, "a copy of {} bytes of memory that is only counted", bytes);
  }

 private:
  MemoryLedger* ledger_;
};

}  // namespace

std::unique_ptr<Device> make_counting_device(MemoryLedger& ledger) { return std::make_unique<CountingDevice>(ledger); }

}  // namespace ferula
