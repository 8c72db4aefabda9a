#include "model/head.hpp"

#include <algorithm>

namespace ferula {
namespace {

/// Calls `visit(first, count)` for the rows, at most `most` at a time.
template <class Visit>
void for_each_chunk(std::int64_t rows, std::int64_t most, Visit visit) {
  for (std::int64_t first = 0; first < rows; first += most) visit(first, std::min(most, rows - first));
}

}  // namespace

Head::Head(const TransformerSpec& spec, const UnitSpec& unit)
    : tokens_(spec.tokens),
      norm_(find_norm(unit, spec.norm(), "final_norm")),
      product_(find_linear(unit, {spec.tied ? "embedding.token" : "head"})) {}

void Head::losses(const UnitPass& unit, const TokenBatch& batch, TensorView output, TensorView stream,
                  const HeadScratch& scratch) const {
  norm_.forward(unit, output, stream, scratch.normed, scratch.statistics);
  for_each_chunk(batch.rows, scratch.logits.dim(0), [&](std::int64_t first, std::int64_t count) {
    const TensorView logits = scratch.logits.rows(0, count);
    product_.forward(unit, scratch.normed.rows(first, count), logits);
    unit.execution.ops.cross_entropy(unit.execution.compute, logits, batch.target.rows(first, count), tokens_, 0.0f,
                                     scratch.losses.rows(first, count), TensorView{});
  });
}

void Head::losses_and_gradient(const UnitPass& unit, const TokenBatch& batch, float scale, TensorView output,
                               TensorView stream, const HeadScratch& scratch, const HeadGradients& gradients,
                               TensorView gradient) const {
  norm_.forward(unit, output, stream, scratch.normed, scratch.statistics);
  for_each_chunk(batch.rows, scratch.logits.dim(0), [&](std::int64_t first, std::int64_t count) {
    const TensorView normed = scratch.normed.rows(first, count);
    const TensorView logits = scratch.logits.rows(0, count);
    const TensorView d_logits = gradients.logits.rows(0, count);
    product_.forward(unit, normed, logits);
    unit.execution.ops.cross_entropy(unit.execution.compute, logits, batch.target.rows(first, count), tokens_, scale,
                                     scratch.losses.rows(first, count), d_logits);
    product_.backward(unit, normed, d_logits, gradients.normed.rows(first, count));
  });
  norm_.backward(unit, gradients.normed, output, scratch.statistics, gradient, Accumulate::overwrite);
}

void Head::logits(const UnitPass& unit, TensorView output, TensorView stream, TensorView normed, TensorView statistics,
                  TensorView logits) const {
  norm_.forward(unit, output, stream, normed, statistics);
  product_.forward(unit, normed, logits);
}

}  // namespace ferula
