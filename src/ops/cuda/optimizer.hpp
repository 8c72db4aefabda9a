// Adam, SGD and Lion over a flat range. Contract: ops/ops.hpp.
#pragma once

#include <cuda_runtime_api.h>

#include "ops/ops.hpp"

namespace ferula::cuda {

/// One launch for up to 64 changes of weight decay along the range, and one for each 64 more.
void optimizer_update(int multiprocessors, cudaStream_t stream, const OptimizerRule& rule, TensorView scalars,
                      const OptimizerRange& range);

}  // namespace ferula::cuda
