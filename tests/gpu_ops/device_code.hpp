// Reads the GPU code that a program carries: its kernels for each architecture, and how much local memory they take.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace ferula::gpu_test {

/// The kernels of one architecture by mangled name, each with the bytes of its stack frame in local memory: 0 for one
/// that keeps everything in registers.
using Kernels = std::map<std::string, std::uint32_t>;

/// By architecture, 90 for sm_90. Code must not be compressed (nvcc -no-compress).
std::map<int, Kernels> kernels_of(const std::filesystem::path& program);

}  // namespace ferula::gpu_test
