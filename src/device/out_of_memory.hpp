// What a device says when it has no memory left: what was asked, what is held by kind, what would help.
#pragma once

#include <cstdint>
#include <string_view>

#include "device/ledger.hpp"

namespace ferula {

/// Throws CapacityError. `device` as `Device::name` spells it; `left` is what the device says of its memory, or empty.
[[noreturn]] void throw_out_of_memory(std::string_view device, std::int64_t bytes, MemoryKind kind,
                                      const MemoryLedger& ledger, std::string_view left = {});

}  // namespace ferula
