// The CUDA backend of `Ops`.
#pragma once

#include <memory>

#include "ops/determinism.hpp"
#include "ops/ops.hpp"

namespace ferula {

/// One object a rank. `device` is a CUDA device and outlives it; the streams of all calls are that device's. Operations
/// are given to the stream and return; a wrong index in device memory (a token beyond the vocabulary) ends as a
/// DeviceError at the next synchronisation. Scratch grows in the first steps only.
std::unique_ptr<Ops> make_cuda_ops(Device& device, Determinism determinism);

}  // namespace ferula
