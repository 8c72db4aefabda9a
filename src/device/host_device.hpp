// What devices without a GPU have in common; where their buffers come from is their own.
#pragma once

#include "device/cpu_stream.hpp"
#include "device/device.hpp"

namespace ferula {

/// Work runs on the processors, and what the device reaches the host reaches, too. `ledger` must outlive the device.
class HostDevice : public Device {
 public:
  explicit HostDevice(MemoryLedger& ledger) : ledger_(&ledger) {}
  DeviceKind kind() const final { return DeviceKind::cpu; }
  MemoryLedger& ledger() final { return *ledger_; }
  std::unique_ptr<Stream> make_stream() final { return std::make_unique<InlineStream>(); }
  std::unique_ptr<Stream> make_side_stream(std::string_view name) final {
    return std::make_unique<ThreadStream>(std::string(name));
  }
  Buffer allocate_shared(std::int64_t bytes, MemoryKind kind) final { return allocate(bytes, kind); }

 private:
  MemoryLedger* ledger_;
};

}  // namespace ferula
