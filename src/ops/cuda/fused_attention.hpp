// The fused attention kernels of a library that may be missing: what they are asked, and how the library is found.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace ferula::cuda {

enum class AttentionPass : std::uint8_t { forward, backward };

/// Distances between rows and between heads, in elements.
struct HeadStrides {
  std::int64_t row = 0, head = 0;

  friend auto operator<=>(const HeadStrides&, const HeadStrides&) = default;
};

/// A causal call over `sequences` of `length` rows each, one behind the other, in bf16 with 16-byte aligned heads. The
/// strides of gradients are 0 in the forward pass.
struct FusedAttentionShape {
  AttentionPass pass = AttentionPass::forward;
  std::int64_t sequences = 0, length = 0;
  int heads = 1, kv_heads = 1, head_dim = 0;
  float scale = 0.0f;
  HeadStrides q = {}, k = {}, v = {}, out = {}, dout = {}, dq = {}, dk = {}, dv = {};
  std::int64_t logsumexp_stride = 0;  // between heads, in the forward pass

  friend auto operator<=>(const FusedAttentionShape&, const FusedAttentionShape&) = default;
};

/// Where the tensors of a call begin. `logsumexp` f32: [heads, rows] as the forward pass writes it, but
/// [sequences, heads, length] as the backward pass reads it.
struct FusedAttentionTensors {
  void *q = nullptr, *k = nullptr, *v = nullptr, *out = nullptr, *logsumexp = nullptr;
  void *dout = nullptr, *dq = nullptr, *dk = nullptr, *dv = nullptr;
};

/// Kernels of one rank's GPU. Sums of the backward pass may differ in their last bits between calls. Not thread-safe.
class FusedAttention {
 public:
  virtual ~FusedAttention() = default;
  /// "cuDNN 9.19.0".
  virtual std::string name() const = 0;
  /// Bytes of device memory that a call takes beside its tensors; nothing where the library has no kernels for it. The
  /// first question of a shape takes up to seconds.
  virtual std::optional<std::int64_t> workspace_bytes(const FusedAttentionShape& shape) = 0;
  /// Why the last shape that got no kernels got none.
  virtual const std::string& problem() const = 0;
  /// Of a shape whose workspace is known. Returns what went wrong, or nothing.
  virtual std::string run(cudaStream_t stream, const FusedAttentionShape& shape, const FusedAttentionTensors& tensors,
                          void* workspace) = 0;
};

/// The kernels for the current GPU from libferula_cudnn.so, which lies beside this code or in ../lib and needs cuDNN.
/// The environment variable FERULA_CUDNN_ATTENTION = "none" does without. Null where there are none; `why` then says
/// why.
std::unique_ptr<FusedAttention> open_fused_attention(std::string& why);

/// What the library exports, and its name. Another number of the interface does not fit this one.
inline constexpr const char* kFusedAttentionEntry = "ferula_fused_attention";
inline constexpr int kFusedAttentionAbi = 1;
using FusedAttentionEntry = FusedAttention* (*)(int abi, std::string& why);

}  // namespace ferula::cuda
