// What attention needs to know of each row before its passes.
#pragma once

#include <cuda_runtime_api.h>

#include "ops/cuda/attention_arguments.hpp"

namespace ferula::cuda {

/// begin[r] and end[r] are the bounds of row r's sequence. starts [sequences + 1] ascends from 0.
/// A row behind the last sequence is one of its own.
void find_sequences(cudaStream_t stream, const std::int32_t* starts, std::int64_t count, std::int64_t rows,
                    std::int32_t* begin, std::int32_t* end);

/// delta[head, row] = Σ out · dout. T is float or __nv_bfloat16; `wide`: rows and heads are 16-byte aligned.
template <class T>
void dot_rows(cudaStream_t stream, const AttentionShape& shape, const Heads<const T>& out, const Heads<const T>& dout,
              bool wide, float* delta);

/// packed[sequence, head, place] = logsumexp[head, sequence · length + place], whose heads are `stride` apart.
void pack_logsumexp(cudaStream_t stream, const float* logsumexp, std::int64_t stride, std::int64_t sequences, int heads,
                    std::int64_t length, float* packed);

}  // namespace ferula::cuda
