#include "app/gpu_library.hpp"

#include <dlfcn.h>

#include <filesystem>
#include <utility>

#include "base/error.hpp"

namespace ferula {
namespace {

constexpr const char* kName = "libferula_cuda.so";

std::string loader_words() {
  const char* words = dlerror();
  return words == nullptr ? "no reason given" : words;
}

}  // namespace

std::vector<std::string> gpu_library_paths() {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  return {(folder / kName).string(), (folder.parent_path() / "lib" / kName).string()};
}

std::optional<std::string> gpu_library() {
  for (std::string& path : gpu_library_paths()) {
    std::error_code error;
    if (std::filesystem::is_regular_file(path, error)) return std::move(path);
  }
  return std::nullopt;
}

bool has_gpu_driver() {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (driver != nullptr) dlclose(driver);
  return driver != nullptr;
}

std::unique_ptr<GpuBackend> open_gpu_backend(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    throw DeviceError(
        fmt::format("the CUDA backend cannot be loaded: {}; give the libraries of the CUDA toolkit to the "
                    "loader (LD_LIBRARY_PATH), or set [run] device = \"cpu\"",
                    loader_words()));
  const auto entry = reinterpret_cast<GpuEntryFunction>(dlsym(library, kGpuEntryName));
  if (entry == nullptr) throw DeviceError(fmt::format("{}: not a CUDA backend: {}", path, loader_words()));
  const GpuEntry found = entry();
  if (found.abi != kGpuAbi || found.make == nullptr)
    throw DeviceError(
        fmt::format("{}: expected the interface {} of this program, found {}; install program and library "
                    "of one build together",
                    path, kGpuAbi, found.abi));
  return found.make();
}

}  // namespace ferula
