#include "device/cuda/visible_gpus.hpp"

#include <array>

#include "device/cuda/cuda_error.hpp"

namespace ferula {
namespace {

/// "GPU-01234567-89ab-cdef-0123-456789abcdef", as nvidia-smi writes it.
std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (std::size_t index = 0; index < sizeof(uuid.bytes); ++index) {
    if (index == 4 || index == 6 || index == 8 || index == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[index]));
  }
  return text;
}

}  // namespace

std::vector<GpuInfo> visible_gpus() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorNoDevice) {
    cudaGetLastError();
    return {};
  }
  if (status != cudaSuccess)
    throw DeviceError(
        fmt::format("looking for GPUs: {} ({}); see what nvidia-smi says, bring the driver up to date, or set "
                    "[run] device = \"cpu\"",
                    cudaGetErrorString(status), cudaGetErrorName(status)));
  std::vector<GpuInfo> gpus;
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    std::array<char, 32> pci{};
    check_cuda(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties({})", index);
    check_cuda(cudaDeviceGetPCIBusId(pci.data(), static_cast<int>(pci.size()), index), "cudaDeviceGetPCIBusId");
    gpus.push_back({.index = index,
                    .name = properties.name,
                    .uuid = uuid_text(properties.uuid),
                    .pci = pci.data(),
                    .memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem),
                    .capability_major = properties.major,
                    .capability_minor = properties.minor});
  }
  return gpus;
}

}  // namespace ferula
