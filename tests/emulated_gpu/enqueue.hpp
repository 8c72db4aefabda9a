// How a library beside the backend gives work to the streams of its GPU.
#pragma once

#include <cuda_runtime_api.h>

extern "C" {
/// Runs work(argument) in the order of the stream.
cudaError_t ferula_emulated_enqueue(cudaStream_t stream, void (*work)(void*), void* argument);
}
