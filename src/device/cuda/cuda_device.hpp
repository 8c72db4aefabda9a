// A GPU as a device: its memory, pinned memory of the host, and streams.
#pragma once

#include <memory>

#include "device/device.hpp"

namespace ferula {

/// `index` counts the visible GPUs. The calling thread's work goes to this GPU from now on, and the device is used by
/// this thread and by the streams that it makes. `ledger` outlives the device and its buffers; it counts pinned memory,
/// too. Streams end before their device. Throws DeviceError where the GPU cannot be used.
std::unique_ptr<Device> make_cuda_device(int index, MemoryLedger& ledger);

}  // namespace ferula
