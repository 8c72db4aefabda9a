// Chooses the kernels of the smallest head size that holds the call's.
#include "ops/cuda/attention_flash.hpp"

#include "base/error.hpp"

namespace ferula::cuda {

void flash_attention(cudaStream_t stream, const AttentionForward<__nv_bfloat16>& call) {
  const int head_dim = call.shape.head_dim;
  FERULA_CHECK(head_dim <= kMostHeadDim, "heads of {} elements; at most {}", head_dim, kMostHeadDim);
  if (head_dim <= 32) return launch_flash_attention<32>(stream, call);
  if (head_dim <= 64) return launch_flash_attention<64>(stream, call);
  if (head_dim <= 96) return launch_flash_attention<96>(stream, call);
  if (head_dim <= 128) return launch_flash_attention<128>(stream, call);
  launch_flash_attention<256>(stream, call);
}

void flash_attention_backward(cudaStream_t stream, const AttentionBackward<__nv_bfloat16>& call) {
  const int head_dim = call.shape.head_dim;
  FERULA_CHECK(head_dim <= kMostHeadDim, "heads of {} elements; at most {}", head_dim, kMostHeadDim);
  if (head_dim <= 32) return launch_flash_attention_backward<32>(stream, call);
  if (head_dim <= 64) return launch_flash_attention_backward<64>(stream, call);
  if (head_dim <= 96) return launch_flash_attention_backward<96>(stream, call);
  if (head_dim <= 128) return launch_flash_attention_backward<128>(stream, call);
  launch_flash_attention_backward<256>(stream, call);
}

}  // namespace ferula::cuda
