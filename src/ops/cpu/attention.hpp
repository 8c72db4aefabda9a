// Causal attention on the CPU: packed sequences in training, a key-value cache in generation. Contracts: ops/ops.hpp.
#pragma once

#include "ops/ops.hpp"

namespace ferula::cpu {

class Workspace;

/// Scratch: a few tiles a thread, independent of the length of the sequences.
/// Bytes of the workspace that the passes take with the calling thread's number of threads.
std::int64_t attention_scratch(const AttentionSpec& spec);
std::int64_t attention_backward_scratch(const AttentionSpec& spec, std::int64_t longest_sequence);

void attention(Workspace& workspace, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
               TensorView starts, TensorView out, TensorView logsumexp);

/// Scratch a thread: a few tiles and 2 · longest sequence · head_dim sums of dk and dv in f32.
/// The same bits for any number of threads: dk and dv sum over heads, then query tiles, in ascending order.
void attention_backward(Workspace& workspace, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
                        TensorView starts, TensorView out, TensorView dout, TensorView logsumexp, TensorView dq,
                        TensorView dk, TensorView dv);

void cache_append(TensorView k, TensorView v, TensorView slot, TensorView position, TensorView k_cache,
                  TensorView v_cache);

/// Cost: one read of each row's keys and values.
void attention_cached(Workspace& workspace, const AttentionSpec& spec, TensorView q, TensorView k_cache,
                      TensorView v_cache, TensorView slot, TensorView position, TensorView out);

}  // namespace ferula::cpu
