#include "model/block.hpp"

#include "base/philox.hpp"

namespace ferula {
namespace {

/// Columns [begin, begin + heads · head_dim) of `qkv` as [rows, heads, head_dim].
TensorView heads_at(TensorView qkv, std::int64_t begin, std::int64_t heads, std::int64_t head_dim) {
  TensorView view = qkv.columns(begin, heads * head_dim);
  view.rank = 3;
  view.dims = {qkv.dim(0), heads, head_dim};
  view.strides = {qkv.stride(0), head_dim, 1};
  return view;
}

std::vector<std::string> hidden_names(const TransformerSpec& spec, const std::string& feed_forward) {
  if (spec.family.activation == ActivationKind::swiglu) return {feed_forward + ".gate", feed_forward + ".up"};
  return {feed_forward + ".up"};
}

}  // namespace

DropoutSpec dropout_at(const TransformerSpec& spec, std::uint64_t key, const TokenBatch& batch) {
  return {.rate = spec.dropout, .key = key, .step = batch.step, .sample = batch.sample, .position = batch.position};
}

Block::Block(const TransformerSpec& spec, const UnitSpec& unit, std::uint64_t seed) : spec_(spec) {
  const std::string attention = unit.name + ".attention", feed_forward = unit.name + ".feed_forward";
  attention_norm_ = find_norm(unit, spec.norm(), attention + "_norm");
  feed_forward_norm_ = find_norm(unit, spec.norm(), feed_forward + "_norm");
  qkv_ = find_linear(unit, {attention + ".query", attention + ".key", attention + ".value"});
  attention_output_ = find_linear(unit, {attention + ".output"});
  hidden_ = find_linear(unit, hidden_names(spec, feed_forward));
  down_ = find_linear(unit, {feed_forward + ".down"});
  attention_dropout_ = random_key(seed, attention + ".dropout");
  feed_forward_dropout_ = random_key(seed, feed_forward + ".dropout");
}

// --- forward --------------------------------------------------------------------------------------------------------

void Block::forward(const UnitPass& unit, const TokenBatch& batch, PassKind pass, BlockActivations& kept,
                    TensorView stream, TensorView output) const {
  project_qkv(unit, batch, kept, stream);
  const TensorView attended = heads_at(kept.attended, 0, spec_.heads, spec_.head_dim);
  unit.execution.ops.attention(unit.execution.compute, spec_.attention(), query(kept.qkv), key(kept.qkv),
                               value(kept.qkv), batch.starts, attended, kept.logsumexp);
  attention_output_.forward(unit, kept.attended, kept.middle);
  drop(unit, batch, pass, attention_dropout_, kept.middle);
  feed_forward(unit, batch, pass, kept, output);
}

void Block::decode(const UnitPass& unit, const TokenBatch& batch, const BlockCache& cache, BlockActivations& scratch,
                   TensorView stream, TensorView output) const {
  Ops& ops = unit.execution.ops;
  Stream& compute = unit.execution.compute;
  project_qkv(unit, batch, scratch, stream);
  ops.cache_append(compute, key(scratch.qkv), value(scratch.qkv), batch.kv_block, batch.position, cache.keys,
                   cache.values);
  const TensorView attended = heads_at(scratch.attended, 0, spec_.heads, spec_.head_dim);
  ops.attention_cached(compute, spec_.attention(), query(scratch.qkv), cache.keys, cache.values, batch.kv_block,
                       batch.position, attended);
  attention_output_.forward(unit, scratch.attended, scratch.middle);
  feed_forward(unit, batch, PassKind::inference, scratch, output);
}

void Block::project_qkv(const UnitPass& unit, const TokenBatch& batch, BlockActivations& kept,
                        TensorView stream) const {
  attention_norm_.forward(unit, kept.input, stream, kept.attention_normed, kept.attention_statistics);
  qkv_.forward(unit, kept.attention_normed, kept.qkv);
  rotate(unit, batch, kept.qkv, RotaryDirection::forward);
}

void Block::feed_forward(const UnitPass& unit, const TokenBatch& batch, PassKind pass, BlockActivations& kept,
                         TensorView output) const {
  feed_forward_norm_.forward(unit, kept.middle, kept.input, kept.feed_forward_normed, kept.feed_forward_statistics);
  activate(unit, kept);
  down_.forward(unit, kept.activated, output);
  drop(unit, batch, pass, feed_forward_dropout_, output);
}

void Block::activate(const UnitPass& unit, BlockActivations& kept) const {
  switch (spec_.family.activation) {
    case ActivationKind::gelu:
      return hidden_.forward_gelu(unit, kept.feed_forward_normed, kept.hidden, kept.activated);
    case ActivationKind::swiglu:
      hidden_.forward(unit, kept.feed_forward_normed, kept.hidden);
      return unit.execution.ops.swiglu(unit.execution.compute, kept.hidden, kept.activated);
  }
}

// --- backward -------------------------------------------------------------------------------------------------------

void Block::backward(const UnitPass& unit, const TokenBatch& batch, const BlockActivations& kept, TensorView gradient,
                     Arena& scratch, const ActivationSizes& sizes) const {
  {
    const Arena::Scope feed_forward(scratch);
    feed_forward_backward(unit, batch, kept, gradient, take_feed_forward_gradients(scratch, spec_, sizes));
  }
  const Arena::Scope attention(scratch);
  attention_backward(unit, batch, kept, gradient, take_attention_gradients(scratch, spec_, sizes));
}

void Block::feed_forward_backward(const UnitPass& unit, const TokenBatch& batch, const BlockActivations& kept,
                                  TensorView gradient, const FeedForwardGradients& d) const {
  const TensorView branch = branch_gradient(unit, batch, feed_forward_dropout_, gradient, d.branch);
  activate_backward(unit, kept, branch, d);
  hidden_.backward(unit, kept.feed_forward_normed, d.hidden, d.normed);
  feed_forward_norm_.backward(unit, d.normed, kept.middle, kept.feed_forward_statistics, gradient, Accumulate::add);
}

void Block::activate_backward(const UnitPass& unit, const BlockActivations& kept, TensorView branch,
                              const FeedForwardGradients& d) const {
  switch (spec_.family.activation) {
    case ActivationKind::gelu:
      return down_.backward_gelu(unit, kept.activated, branch, kept.hidden, d.hidden);
    case ActivationKind::swiglu:
      down_.backward(unit, kept.activated, branch, d.activated);
      return unit.execution.ops.swiglu_backward(unit.execution.compute, kept.hidden, d.activated, d.hidden);
  }
}

void Block::attention_backward(const UnitPass& unit, const TokenBatch& batch, const BlockActivations& kept,
                               TensorView gradient, const AttentionGradients& d) const {
  const TensorView branch = branch_gradient(unit, batch, attention_dropout_, gradient, d.branch);
  attention_output_.backward(unit, kept.attended, branch, d.attended);
  const TensorView attended = heads_at(kept.attended, 0, spec_.heads, spec_.head_dim);
  const TensorView d_attended = heads_at(d.attended, 0, spec_.heads, spec_.head_dim);
  unit.execution.ops.attention_backward(unit.execution.compute, spec_.attention(), query(kept.qkv), key(kept.qkv),
                                        value(kept.qkv), batch.starts, attended, d_attended, kept.logsumexp,
                                        query(d.qkv), key(d.qkv), value(d.qkv));
  rotate(unit, batch, d.qkv, RotaryDirection::backward);
  qkv_.backward(unit, kept.attention_normed, d.qkv, d.normed);
  attention_norm_.backward(unit, d.normed, kept.input, kept.attention_statistics, gradient, Accumulate::add);
}

// --- parts ----------------------------------------------------------------------------------------------------------

void Block::drop(const UnitPass& unit, const TokenBatch& batch, PassKind pass, std::uint64_t key, TensorView x) const {
  if (pass == PassKind::inference || spec_.dropout == 0.0f) return;
  unit.execution.ops.dropout(unit.execution.compute, dropout_at(spec_, key, batch), x);
}

/// The gradient of a sub-layer's output before its dropout: a copy, because the stream's own gradient goes on
/// undropped.
TensorView Block::branch_gradient(const UnitPass& unit, const TokenBatch& batch, std::uint64_t key, TensorView gradient,
                                  TensorView branch) const {
  if (spec_.dropout == 0.0f) return gradient;
  unit.execution.ops.copy(unit.execution.compute, gradient, branch);
  drop(unit, batch, PassKind::training, key, branch);
  return branch;
}

/// Queries and keys lie side by side and turn alike.
void Block::rotate(const UnitPass& unit, const TokenBatch& batch, TensorView qkv, RotaryDirection direction) const {
  if (spec_.family.positions != PositionKind::rotary) return;
  const TensorView heads = heads_at(qkv, 0, spec_.heads + spec_.kv_heads, spec_.head_dim);
  unit.execution.ops.rotary(unit.execution.compute, heads, batch.position, spec_.rope_theta, direction);
}

TensorView Block::query(TensorView qkv) const { return heads_at(qkv, 0, spec_.heads, spec_.head_dim); }

TensorView Block::key(TensorView qkv) const {
  return heads_at(qkv, spec_.query_width(), spec_.kv_heads, spec_.head_dim);
}

TensorView Block::value(TensorView qkv) const {
  return heads_at(qkv, spec_.query_width() + spec_.kv_width(), spec_.kv_heads, spec_.head_dim);
}

}  // namespace ferula
