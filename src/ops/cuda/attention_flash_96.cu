// Attention on tensor cores for heads of up to 96 elements.
#include "ops/cuda/attention_flash_backward.cuh"
#include "ops/cuda/attention_flash_forward.cuh"

namespace ferula::cuda {

template void launch_flash_attention<96>(cudaStream_t, const AttentionForward<__nv_bfloat16>&);
template void launch_flash_attention_backward<96>(cudaStream_t, const AttentionBackward<__nv_bfloat16>&);

}  // namespace ferula::cuda
