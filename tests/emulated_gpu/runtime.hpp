// A CUDA runtime whose one GPU is the processor: streams are threads that run what they are given in its order, and
// kernels run by grid.hpp.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

#include "grid.hpp"

namespace ferula::emulated {

/// Gives work to a stream and returns at once. A KernelFault that it throws becomes cudaErrorLaunchFailure of this call
/// or of a later one, as on a GPU.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);

/// Gives a kernel to its stream; `thread` is what one thread of it does. cudaGetLastError tells of a launch that a GPU
/// refuses.
void launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> thread);

/// What the last fault of a kernel was, for the message of a test.
std::string last_fault();

}  // namespace ferula::emulated
