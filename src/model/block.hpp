// One pre-norm transformer block: x += attention(norm(x)), then x += feed_forward(norm(x)), forward and backward.
#pragma once

#include "data/token_batch.hpp"
#include "model/activations.hpp"
#include "model/kv_cache.hpp"
#include "model/layers.hpp"

namespace ferula {

/// Whether dropout applies.
enum class PassKind : std::uint8_t { training, inference };

/// A dropout site of the model at the rows of `batch`; `key` as made by `random_key(seed, site name)`.
DropoutSpec dropout_at(const TransformerSpec& spec, std::uint64_t key, const TokenBatch& batch);

/// The block of one layer; holds no tensors, only where they lie in its unit.
class Block {
 public:
  Block(const TransformerSpec& spec, const UnitSpec& unit, std::uint64_t seed);

  /// On entry kept.input is the output of the sub-layer before and `stream` the residual stream without it (empty in
  /// the first block). Afterwards `output` is the output of the feed-forward sub-layer and kept.middle the stream
  /// without it: the next norm adds the two, in the pass that it makes anyway.
  void forward(const UnitPass& unit, const TokenBatch& batch, PassKind pass, BlockActivations& kept, TensorView stream,
               TensorView output) const;

  /// The same without dropout, for rows that continue the sequences in `cache`; their keys and values are appended.
  void decode(const UnitPass& unit, const TokenBatch& batch, const BlockCache& cache, BlockActivations& scratch,
              TensorView stream, TensorView output) const;

  /// `gradient` [rows, width] T: on entry that of the residual stream after the block, afterwards that before it.
  void backward(const UnitPass& unit, const TokenBatch& batch, const BlockActivations& kept, TensorView gradient,
                Arena& scratch, const ActivationSizes& sizes) const;

 private:
  void project_qkv(const UnitPass& unit, const TokenBatch& batch, BlockActivations& kept, TensorView stream) const;
  void feed_forward(const UnitPass& unit, const TokenBatch& batch, PassKind pass, BlockActivations& kept,
                    TensorView output) const;
  void activate(const UnitPass& unit, BlockActivations& kept) const;
  void activate_backward(const UnitPass& unit, const BlockActivations& kept, TensorView branch,
                         const FeedForwardGradients& d) const;
  void feed_forward_backward(const UnitPass& unit, const TokenBatch& batch, const BlockActivations& kept,
                             TensorView gradient, const FeedForwardGradients& d) const;
  void attention_backward(const UnitPass& unit, const TokenBatch& batch, const BlockActivations& kept,
                          TensorView gradient, const AttentionGradients& d) const;
  void drop(const UnitPass& unit, const TokenBatch& batch, PassKind pass, std::uint64_t key, TensorView x) const;
  TensorView branch_gradient(const UnitPass& unit, const TokenBatch& batch, std::uint64_t key, TensorView gradient,
                             TensorView branch) const;
  void rotate(const UnitPass& unit, const TokenBatch& batch, TensorView qkv, RotaryDirection direction) const;
  TensorView query(TensorView qkv) const;
  TensorView key(TensorView qkv) const;
  TensorView value(TensorView qkv) const;

  TransformerSpec spec_;
  NormLayer attention_norm_, feed_forward_norm_;
  LinearLayer qkv_, attention_output_, hidden_, down_;
  std::uint64_t attention_dropout_, feed_forward_dropout_;
};

}  // namespace ferula
