// Gives calls of attention to a library's fused kernels where they fit.
#pragma once

#include <set>
#include <string>
#include <tuple>

#include "ops/cuda/fused_attention.hpp"
#include "ops/cuda/workspace.hpp"
#include "ops/determinism.hpp"
#include "ops/ops.hpp"

namespace ferula::cuda {

/// The tensors of a call as ops/ops.hpp has them; those of gradients are empty in the forward pass.
struct AttentionTensors {
  TensorView q, k, v, out, logsumexp;
  TensorView dout = {}, dq = {}, dk = {}, dv = {};
};

/// One object a rank. Takes bf16 over sequences of one length whose starts lie in memory that the host reads, too, and
/// only after `scratch` has been asked for as many rows of that length: the library takes up to seconds to prepare a
/// shape, which a training run does once, but texts of many lengths would do again and again.
class FusedCalls {
 public:
  /// With Determinism::same_bits nothing is taken: the library adds gradients of queries in any order.
  explicit FusedCalls(Determinism determinism) : determinism_(determinism) {}

  /// True where the fused kernels were given to the stream. Views are checked, and all heads 16-byte aligned.
  bool forward(Workspace& workspace, cudaStream_t stream, const AttentionSpec& spec, const AttentionTensors& tensors,
               TensorView starts);
  bool backward(Workspace& workspace, cudaStream_t stream, const AttentionSpec& spec, const AttentionTensors& tensors,
                TensorView starts);

  /// Bytes of the workspace that both passes take for queries, keys and values that lie side by side, and their kernels
  /// prepared; 0 without fused kernels.
  std::int64_t scratch(const AttentionSpec& spec, DType compute, std::int64_t rows, std::int64_t length);
  /// Whose kernels the last shape that `scratch` was asked for has got, and why not the library's.
  const std::string& in_words() const { return words_; }

 private:
  /// Heads, key heads, head size, rows and length.
  using Asked = std::tuple<int, int, int, std::int64_t, std::int64_t>;

  FusedAttention* library();
  /// The workspace of the call, where the library has kernels for it.
  std::optional<std::int64_t> room(const FusedAttentionShape& shape);
  /// The length of all sequences, where the call is one for the library.
  std::optional<std::int64_t> length_of(const AttentionSpec& spec, const AttentionTensors& tensors,
                                        const TensorView& starts) const;

  Determinism determinism_;
  std::set<Asked> asked_;
  std::unique_ptr<FusedAttention> library_;
  std::string why_none_, words_;
  bool opened_ = false;
};

}  // namespace ferula::cuda
