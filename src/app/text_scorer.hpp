// The log-probability that a model gives to each token of a text, in windows, with all ranks at work.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "data/token_batch.hpp"
#include "model/transformer.hpp"

namespace ferula {

/// Sum over the scored tokens of −log p, in nats.
struct TextScore {
  double nats = 0.0;
  std::int64_t tokens = 0;
  double loss() const { return tokens > 0 ? nats / static_cast<double>(tokens) : 0.0; }
};

/// Cuts a text into windows that do not overlap, as training does, and scores each token but the first one given what
/// stands before it in its window. Window w is scored by rank w mod n, so the score is the same on every layout.
class TextScorer {
 public:
  /// `window`: tokens of one window, at most the model's context. References outlive the scorer.
  TextScorer(Transformer& transformer, Execution& execution, Communicator& ranks, std::int64_t window);

  /// Collective, with the same tokens on all ranks. `sink`, where it is set, receives −log p of the scored tokens in
  /// their order, a window of each rank at a time, on every rank. Cost: one pass of the model over the text.
  TextScore score(std::span<const std::int32_t> tokens, const std::function<void(std::span<const float>)>& sink);

 private:
  std::int64_t fill(std::span<const std::int32_t> tokens, std::int64_t window);

  Transformer* transformer_;
  Execution* execution_;
  Communicator* ranks_;
  std::int64_t window_;
  Buffer token_, position_, target_, sample_, starts_, step_;
  Buffer losses_;       // [ranks, window] f32
  Buffer host_losses_;  // the same, where the host reads them
};

}  // namespace ferula
