// Operations that use random numbers: a value depends on keys and counters only. Contracts: ops/ops.hpp.
#pragma once

#include <cuda_runtime_api.h>

#include "ops/ops.hpp"

namespace ferula::cuda {

/// The mask is the one of ops/dropout_counter.hpp.
void dropout(cudaStream_t stream, const DropoutSpec& spec, TensorView x);
/// The numbers of base/philox.hpp; the device's logarithm and sine in f64 may differ in the last bit before rounding.
void fill_normal(cudaStream_t stream, TensorView x, std::uint64_t key, std::int64_t first, float std);

}  // namespace ferula::cuda
