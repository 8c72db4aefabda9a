// The end of the model: the last norm, the product with the vocabulary and the loss, a few rows at a time.
#pragma once

#include "data/token_batch.hpp"
#include "model/activations.hpp"
#include "model/layers.hpp"

namespace ferula {

/// Holds no tensors, only where they lie in its unit.
class Head {
 public:
  Head(const TransformerSpec& spec, const UnitSpec& unit);

  /// The stream's last part is in `output`, the rest in `stream` (empty: all is in `output`); their sum stays in
  /// `output`. Fills scratch.losses with −log p(target), 0 where there is no target.
  void losses(const UnitPass& unit, const TokenBatch& batch, TensorView output, TensorView stream,
              const HeadScratch& scratch) const;

  /// The same; `gradient` [rows, width] T becomes that of `output` of the loss scale · Σ losses.
  void losses_and_gradient(const UnitPass& unit, const TokenBatch& batch, float scale, TensorView output,
                           TensorView stream, const HeadScratch& scratch, const HeadGradients& gradients,
                           TensorView gradient) const;

  /// logits [rows, vocabulary] f32 of all rows of `output`.
  void logits(const UnitPass& unit, TensorView output, TensorView stream, TensorView normed, TensorView statistics,
              TensorView logits) const;

 private:
  std::int64_t tokens_;
  NormLayer norm_;
  LinearLayer product_;
};

}  // namespace ferula
