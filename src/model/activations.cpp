#include "model/activations.hpp"

#include <algorithm>

namespace ferula {
namespace {

template <class Memory>
BlockActivations take_block(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes) {
  const std::int64_t rows = sizes.rows;
  const DType compute = sizes.compute;
  BlockActivations block;
  block.input = memory.take(compute, {rows, spec.width});
  block.attention_statistics = memory.take(DType::f32, {rows, 2});
  block.attention_normed = memory.take(compute, {rows, spec.width});
  block.qkv = memory.take(compute, {rows, spec.qkv_width()});
  block.attended = memory.take(compute, {rows, spec.query_width()});
  block.logsumexp = memory.take(DType::f32, {spec.heads, rows});
  block.middle = memory.take(compute, {rows, spec.width});
  block.feed_forward_statistics = memory.take(DType::f32, {rows, 2});
  block.feed_forward_normed = memory.take(compute, {rows, spec.width});
  block.hidden = memory.take(compute, {rows, spec.hidden_width()});
  block.activated = memory.take(compute, {rows, spec.ffn_width});
  return block;
}

/// The gradient of a branch before its dropout; without dropout it is the gradient of the residual stream itself.
template <class Memory>
TensorView take_branch(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes) {
  return spec.dropout > 0.0f ? memory.take(sizes.compute, {sizes.rows, spec.width}) : TensorView{};
}

}  // namespace

TensorView ArenaPlan::take(DType dtype, std::initializer_list<std::int64_t> shape) {
  TensorView view(nullptr, dtype, shape);
  bytes_ += arena_bytes(dtype, view.count());
  return view;
}

template <class Memory>
void take_chunk(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes, ChunkActivations& chunk) {
  chunk.blocks.resize(static_cast<std::size_t>(sizes.blocks));
  for (BlockActivations& block : chunk.blocks) block = take_block(memory, spec, sizes);
  chunk.output = memory.take(sizes.compute, {sizes.rows, spec.width});
}

template <class Memory>
AttentionGradients take_attention_gradients(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes) {
  AttentionGradients gradients;
  gradients.branch = take_branch(memory, spec, sizes);
  gradients.attended = memory.take(sizes.compute, {sizes.rows, spec.query_width()});
  gradients.qkv = memory.take(sizes.compute, {sizes.rows, spec.qkv_width()});
  gradients.normed = memory.take(sizes.compute, {sizes.rows, spec.width});
  return gradients;
}

template <class Memory>
FeedForwardGradients take_feed_forward_gradients(Memory& memory, const TransformerSpec& spec,
                                                 const ActivationSizes& sizes) {
  FeedForwardGradients gradients;
  gradients.branch = take_branch(memory, spec, sizes);
  gradients.activated = memory.take(sizes.compute, {sizes.rows, spec.ffn_width});
  const bool gated = spec.family.activation == ActivationKind::swiglu;
  gradients.hidden = gated ? memory.take(sizes.compute, {sizes.rows, spec.hidden_width()}) : gradients.activated;
  gradients.normed = memory.take(sizes.compute, {sizes.rows, spec.width});
  return gradients;
}

template <class Memory>
HeadScratch take_head(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes) {
  HeadScratch head;
  head.statistics = memory.take(DType::f32, {sizes.rows, 2});
  head.normed = memory.take(sizes.compute, {sizes.rows, spec.width});
  head.losses = memory.take(DType::f32, {sizes.rows});
  head.logits = memory.take(DType::f32, {sizes.logit_rows, spec.vocabulary});
  return head;
}

template <class Memory>
HeadGradients take_head_gradients(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes) {
  HeadGradients gradients;
  gradients.logits = memory.take(sizes.compute, {sizes.logit_rows, spec.vocabulary});
  gradients.normed = memory.take(sizes.compute, {sizes.rows, spec.width});
  return gradients;
}

template <class Memory>
InferenceScratch take_inference(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes) {
  InferenceScratch scratch;
  scratch.block = take_block(memory, spec, sizes);
  scratch.output = memory.take(sizes.compute, {sizes.rows, spec.width});
  return scratch;
}

template <class Memory>
DecodeScratch take_decode(Memory& memory, const TransformerSpec& spec, const ActivationSizes& sizes) {
  DecodeScratch scratch;
  scratch.output = memory.take(sizes.compute, {sizes.rows, spec.width});
  scratch.stream = memory.take(sizes.compute, {sizes.rows, spec.width});
  scratch.normed = memory.take(sizes.compute, {sizes.rows, spec.width});
  scratch.statistics = memory.take(DType::f32, {sizes.rows, 2});
  return scratch;
}

#define FERULA_INSTANTIATE(Memory)                                                                                    \
  template void take_chunk(Memory&, const TransformerSpec&, const ActivationSizes&, ChunkActivations&);               \
  template AttentionGradients take_attention_gradients(Memory&, const TransformerSpec&, const ActivationSizes&);      \
  template FeedForwardGradients take_feed_forward_gradients(Memory&, const TransformerSpec&, const ActivationSizes&); \
  template HeadScratch take_head(Memory&, const TransformerSpec&, const ActivationSizes&);                            \
  template HeadGradients take_head_gradients(Memory&, const TransformerSpec&, const ActivationSizes&);                \
  template InferenceScratch take_inference(Memory&, const TransformerSpec&, const ActivationSizes&);                  \
  template DecodeScratch take_decode(Memory&, const TransformerSpec&, const ActivationSizes&);
FERULA_INSTANTIATE(Arena)
FERULA_INSTANTIATE(ArenaPlan)
#undef FERULA_INSTANTIATE

std::int64_t activation_bytes(const TransformerSpec& spec, const ActivationSizes& sizes) {
  ArenaPlan plan;
  ChunkActivations chunk;
  plan.take(sizes.compute, {sizes.rows, spec.width});
  take_chunk(plan, spec, sizes, chunk);
  return plan.bytes();
}

std::int64_t training_scratch_bytes(const TransformerSpec& spec, const ActivationSizes& sizes) {
  ArenaPlan head, attention, feed_forward;
  take_head(head, spec, sizes);
  take_head_gradients(head, spec, sizes);
  take_attention_gradients(attention, spec, sizes);
  take_feed_forward_gradients(feed_forward, spec, sizes);
  return std::max({head.bytes(), attention.bytes(), feed_forward.bytes()});
}

std::int64_t inference_scratch_bytes(const TransformerSpec& spec, const ActivationSizes& sizes) {
  ArenaPlan blocks, head, decode;
  take_inference(blocks, spec, sizes);
  take_head(head, spec, sizes);
  take_decode(decode, spec, sizes);
  return blocks.bytes() + std::max(head.bytes(), decode.bytes());
}

}  // namespace ferula
