// Programmatic dependent launch, from the side of the kernels.
#pragma once

#include <nv/target>

namespace ferula::cuda {

/// The first statement of every kernel: the next kernel of the stream may take multiprocessors that this one leaves
/// free, and nothing is read or written before the kernel before has ended and its results are seen.
__device__ __forceinline__ void await_previous_kernel() {
  // clang-format off
  NV_IF_TARGET(NV_PROVIDES_SM_90,
               (asm volatile("griddepcontrol.launch_dependents; griddepcontrol.wait;" ::: "memory");))
  // clang-format on
}

}  // namespace ferula::cuda
