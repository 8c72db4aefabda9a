// Attention on tensor cores, one launcher for each head size; smaller heads run in the next larger one.
#pragma once

#include <cuda_bf16.h>

#include "ops/cuda/attention_arguments.hpp"

namespace ferula::cuda {

inline constexpr float kLog2OfE = 1.4426950408889634f;

/// Head sizes that have kernels of their own.
inline constexpr int kFlashHeadDims[] = {32, 64, 96, 128, 256};

template <int D>
void launch_flash_attention(cudaStream_t stream, const AttentionForward<__nv_bfloat16>& call);
template <int D>
void launch_flash_attention_backward(cudaStream_t stream, const AttentionBackward<__nv_bfloat16>& call);

/// bf16 with head_dim a multiple of 8, and all rows and heads 16-byte aligned.
void flash_attention(cudaStream_t stream, const AttentionForward<__nv_bfloat16>& call);
void flash_attention_backward(cudaStream_t stream, const AttentionBackward<__nv_bfloat16>& call);

}  // namespace ferula::cuda
