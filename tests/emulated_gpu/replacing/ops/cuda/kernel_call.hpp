// Stands in for the header of this name where kernels run on the processor.
#pragma once

#include "runtime.hpp"

namespace ferula::cuda {

template <class... Parameters>
void call_kernel(const cudaLaunchConfig_t& config, void (*kernel)(Parameters...), Parameters&... arguments) {
  emulated::launch(config, reinterpret_cast<const void*>(kernel), [=] { kernel(arguments...); });
}

}  // namespace ferula::cuda
