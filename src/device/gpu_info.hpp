// What is known of a GPU before anything is computed on it.
#pragma once

#include <cstdint>
#include <string>

namespace ferula {

/// One GPU that this process sees, as the driver describes it.
struct GpuInfo {
  int index = 0;     // among the visible ones: "cuda:INDEX"
  std::string name;  // "NVIDIA RTX A5000"
  std::string uuid;  // "GPU-1b2c…": the same whatever CUDA_VISIBLE_DEVICES says
  std::string pci;   // "0000:3b:00.0"
  std::int64_t memory_bytes = 0;
  int capability_major = 0;
  int capability_minor = 0;
};

}  // namespace ferula
