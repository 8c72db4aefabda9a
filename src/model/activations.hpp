// What a forward pass keeps for the backward pass, and the scratch of each phase: structs of views, planned and taken
// from an arena by the same code.
#pragma once

#include <vector>

#include "device/arena.hpp"
#include "model/transformer_spec.hpp"

namespace ferula {

/// Takes views without memory, to learn how many bytes an Arena must have.
class ArenaPlan {
 public:
  TensorView take(DType dtype, std::initializer_list<std::int64_t> shape);
  std::int64_t bytes() const { return bytes_; }

 private:
  std::int64_t bytes_ = 0;
};

/// What one block keeps. T is the compute type. `input` and `middle` arrive as the output of the sub-layer before and
/// become the residual stream when their norm adds it.
struct BlockActivations {
  TensorView input;                    // [rows, width] T, the residual stream at the attention norm
  TensorView attention_statistics;     // [rows, 2] f32
  TensorView attention_normed;         // [rows, width] T
  TensorView qkv;                      // [rows, qkv_width] T, query and key after their rotation
  TensorView attended;                 // [rows, query_width] T
  TensorView logsumexp;                // [heads, rows] f32
  TensorView middle;                   // [rows, width] T, the residual stream at the feed-forward norm
  TensorView feed_forward_statistics;  // [rows, 2] f32
  TensorView feed_forward_normed;      // [rows, width] T
  TensorView hidden;                   // [rows, hidden_width] T, before the activation
  TensorView activated;                // [rows, ffn_width] T
};

/// What the blocks of one micro batch keep.
struct ChunkActivations {
  std::vector<BlockActivations> blocks;
  TensorView output;    // [rows, width] T, of the last block
  TensorView gradient;  // [rows, width] T, of the residual stream: walks from the output to the input
};

/// Gradients within the attention half of a block.
struct AttentionGradients {
  TensorView branch;    // [rows, width] T, empty without dropout
  TensorView attended;  // [rows, query_width] T
  TensorView qkv;       // [rows, qkv_width] T
  TensorView normed;    // [rows, width] T
};

/// Gradients within the feed-forward half of a block. Without a gate `hidden` and `activated` are one view.
struct FeedForwardGradients {
  TensorView branch;     // [rows, width] T, empty without dropout
  TensorView activated;  // [rows, ffn_width] T
  TensorView hidden;     // [rows, hidden_width] T
  TensorView normed;     // [rows, width] T
};

/// Scratch of the head: logits exist for `logit_rows` rows at a time.
struct HeadScratch {
  TensorView statistics;  // [rows, 2] f32
  TensorView normed;      // [rows, width] T
  TensorView losses;      // [rows] f32
  TensorView logits;      // [logit_rows, vocabulary] f32
};

/// What the head's backward pass needs beside.
struct HeadGradients {
  TensorView logits;  // [logit_rows, vocabulary] T
  TensorView normed;  // [rows, width] T
};

/// A forward pass that keeps nothing: the blocks share one set of activations.
struct InferenceScratch {
  BlockActivations block;
  TensorView output;  // [rows, width] T, changes places with block.input from block to block
};

/// The rows of which logits are wanted.
struct DecodeScratch {
  TensorView output;      // [rows, width] T
  TensorView stream;      // [rows, width] T
  TensorView normed;      // [rows, width] T
  TensorView statistics;  // [rows, 2] f32
};

/// Sizes that decide how much memory a model takes beside its state.
struct ActivationSizes {
  std::int64_t rows = 0;    // of the largest micro batch
  std::int64_t blocks = 0;  // of this rank
  std::int64_t logit_rows = 0;
  DType compute = DType::f32;
};

/// Memory is an Arena, or an ArenaPlan that only counts. `chunk.gradient` is left to the caller, who keeps it longer.
template <class Memory>
void take_chunk(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes, ChunkActivations& chunk);
template <class Memory>
AttentionGradients take_attention_gradients(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes);
template <class Memory>
FeedForwardGradients take_feed_forward_gradients(Memory& memory, const TransformerSpec& spec,
                                                 const ActivationSizes& sizes);
template <class Memory>
HeadScratch take_head(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes);
template <class Memory>
HeadGradients take_head_gradients(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes);
template <class Memory>
InferenceScratch take_inference(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes);
template <class Memory>
DecodeScratch take_decode(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes);

/// Bytes of ChunkActivations with its gradient: what each micro batch under way holds.
std::int64_t activation_bytes(const TransformerSpec& spec, const ActivationSizes& sizes);
/// Bytes of the largest phase of a training step beside ChunkActivations.
std::int64_t training_scratch_bytes(const TransformerSpec& spec, const ActivationSizes& sizes);
/// Bytes of a forward pass that keeps nothing: one block, then the head.
std::int64_t inference_scratch_bytes(const TransformerSpec& spec, const ActivationSizes& sizes);

}  // namespace ferula
