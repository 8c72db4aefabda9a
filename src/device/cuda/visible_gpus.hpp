// The GPUs that this process sees.
#pragma once

#include <vector>

#include "device/gpu_info.hpp"

namespace ferula {

/// In the order of CUDA; empty where the driver knows no GPU, or CUDA_VISIBLE_DEVICES hides them. Makes no context.
/// Throws DeviceError where the driver is missing or too old.
std::vector<GpuInfo> visible_gpus();

}  // namespace ferula
