// A device whose memory is counted and never there: for what can only be learnt by asking for it.
#pragma once

#include "device/device.hpp"

namespace ferula {

/// Buffers have addresses of their own that nobody may touch, and cost nothing. `ledger` outlives the device and its
/// buffers.
std::unique_ptr<Device> make_counting_device(MemoryLedger& ledger);

}  // namespace ferula
