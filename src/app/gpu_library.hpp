// Opens libferula_cuda.so when a GPU is wanted, and says in words why it cannot.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/gpu_backend.hpp"

namespace ferula {

/// Where the library is looked for: beside the program, then in ../lib from there.
std::vector<std::string> gpu_library_paths();
/// The first of them that is a file.
std::optional<std::string> gpu_library();

/// Whether the loader finds NVIDIA's driver. Cheap, unlike opening the backend, which brings the CUDA libraries.
bool has_gpu_driver();

/// The backend of the library at `path`. Throws DeviceError: the system's loader refuses it (a library that it needs is
/// missing); it is not a backend, or one of another version of the program. It stays loaded until the process ends,
/// because errors that it throws are its objects.
std::unique_ptr<GpuBackend> open_gpu_backend(const std::string& path);

}  // namespace ferula
