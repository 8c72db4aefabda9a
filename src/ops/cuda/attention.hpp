// Causal attention on the GPU: packed sequences in training, a key-value cache in generation. Contracts: ops/ops.hpp.
#pragma once

#include "ops/cuda/fused_calls.hpp"
#include "ops/cuda/workspace.hpp"
#include "ops/ops.hpp"

namespace ferula::cuda {

/// Bytes of the workspace that both passes of our own kernels take for `rows` rows.
std::int64_t attention_scratch(const AttentionSpec& spec, std::int64_t rows);

/// Through a library's fused kernels where they fit the call, else through kernels of our own.
void attention(Workspace& workspace, FusedCalls& fused, cudaStream_t stream, const AttentionSpec& spec, TensorView q,
               TensorView k, TensorView v, TensorView starts, TensorView out, TensorView logsumexp);

/// Our own kernels give the same bits each time: one pass sums dq over keys, another dk and dv over heads and queries,
/// both in order.
void attention_backward(Workspace& workspace, FusedCalls& fused, cudaStream_t stream, const AttentionSpec& spec,
                        TensorView q, TensorView k, TensorView v, TensorView starts, TensorView out, TensorView dout,
                        TensorView logsumexp, TensorView dq, TensorView dk, TensorView dv);

void cache_append(cudaStream_t stream, TensorView k, TensorView v, TensorView slot, TensorView position,
                  TensorView k_cache, TensorView v_cache);

/// Bytes of the workspace that attention_cached takes for any number of rows on a GPU of `multiprocessors`.
std::int64_t attention_cached_scratch(int multiprocessors, const AttentionSpec& spec);
/// Cost: one read of each row's keys and values a query head. Few rows split their keys over several blocks.
void attention_cached(Workspace& workspace, int multiprocessors, cudaStream_t stream, const AttentionSpec& spec,
                      TensorView q, TensorView k_cache, TensorView v_cache, TensorView slot, TensorView position,
                      TensorView out);

}  // namespace ferula::cuda
