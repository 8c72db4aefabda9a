// Programmatic dependent launch, from the side of the kernels.
#pragma once

namespace ferula::cuda {

/// The first statement of every kernel: the next kernel of the stream may take multiprocessors that this one leaves
/// free, and nothing is read or written before the kernel before has ended and its results are seen.
__device__ __forceinline__ void await_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace ferula::cuda
