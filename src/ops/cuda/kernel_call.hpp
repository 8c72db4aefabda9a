// How a kernel is given to a stream.
#pragma once

#include <cuda_runtime_api.h>

#include <array>

namespace ferula::cuda {

/// Gives kernel(arguments…) to the stream of `config`, which copies the arguments. cudaGetLastError says how that went.
template <class... Parameters>
void call_kernel(const cudaLaunchConfig_t& config, void (*kernel)(Parameters...), Parameters&... arguments) {
  std::array<void*, sizeof...(Parameters)> pointers{const_cast<void*>(static_cast<const void*>(&arguments))...};
  static_cast<void>(cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), pointers.data()));
}

}  // namespace ferula::cuda
