#include "model/operation_scratch.hpp"

namespace ferula {
namespace {

/// Of all products; the head has `head_rows` rows at once.
ScratchBytes product_scratch(Ops& ops, const TransformerSpec& spec, const TransformerSettings& settings,
                             std::int64_t head_rows, bool adds_gradients) {
  ScratchBytes most;
  const DType compute = settings.compute;
  const std::optional<DType> bias =
      spec.family.biases == BiasKind::present ? std::optional(compute) : std::optional<DType>();
  const auto cover = [&](std::int64_t in, std::int64_t out) {
    most.cover(ops.linear_scratch({.rows = settings.rows,
                                   .in = in,
                                   .out = out,
                                   .compute = compute,
                                   .result = compute,
                                   .bias = bias,
                                   .adds_gradients = adds_gradients}));
  };
  cover(spec.width, spec.qkv_width());
  cover(spec.query_width(), spec.width);
  cover(spec.width, spec.hidden_width());
  cover(spec.ffn_width, spec.width);
  most.cover(ops.linear_scratch({.rows = head_rows,
                                 .in = spec.width,
                                 .out = spec.vocabulary,
                                 .compute = compute,
                                 .result = DType::f32,
                                 .adds_gradients = adds_gradients || head_rows < settings.rows}));
  return most;
}

}  // namespace

ScratchBytes training_scratch(Ops& ops, const TransformerSpec& spec, const TransformerSettings& settings,
                              std::int64_t sequence_length, bool adds_gradients) {
  ScratchBytes most = ops.norm_backward_scratch(settings.rows, spec.width);
  most.cover(ops.attention_scratch(spec.attention(), settings.compute, settings.rows, sequence_length));
  most.cover(product_scratch(ops, spec, settings, logit_rows(spec, settings), adds_gradients));
  return most;
}

ScratchBytes inference_scratch(Ops& ops, const TransformerSpec& spec, const TransformerSettings& settings) {
  constexpr std::int64_t kNoBackwardPass = 1;  // whose scratch grows with the length of a sequence
  ScratchBytes most = ops.attention_scratch(spec.attention(), settings.compute, settings.rows, kNoBackwardPass);
  most.cover(product_scratch(ops, spec, settings, 1, false));
  return most;
}

}  // namespace ferula
