// A model that reads one sequence piece by piece and predicts what comes next.
#pragma once

#include <cstdint>
#include <span>

#include "model/kv_cache.hpp"
#include "model/transformer.hpp"

namespace ferula {

/// What the generator needs of a model. All ranks that share the model's weights call `read` equally often.
class DecodeModel {
 public:
  virtual ~DecodeModel() = default;
  /// Most tokens of a sequence that the model can have read.
  virtual std::int64_t context() const = 0;
  /// Most tokens of one call.
  virtual std::int64_t rows() const = 0;
  /// Tokens that can be predicted.
  virtual std::int64_t vocabulary() const = 0;
  /// Reads tokens at positions first, first + 1, …; position 0 begins another sequence. Returns the logits
  /// [≥ vocabulary] of the token after the last one, valid until the next call. Without tokens it only takes part in
  /// what the ranks do together, and returns nothing.
  virtual std::span<const float> read(std::span<const std::int32_t> tokens, std::int64_t first) = 0;
};

/// A transformer with a cache for one sequence of its whole context.
class TransformerDecoder final : public DecodeModel {
 public:
  /// References outlive the decoder. Takes the memory of the cache and of one row of logits as `buffers`.
  TransformerDecoder(Transformer& transformer, Execution& execution);

  std::int64_t context() const override { return cache_.length(); }
  std::int64_t rows() const override { return transformer_->settings().rows; }
  std::int64_t vocabulary() const override { return transformer_->spec().tokens; }
  std::span<const float> read(std::span<const std::int32_t> tokens, std::int64_t first) override;

 private:
  Transformer* transformer_;
  Execution* execution_;
  KvCache cache_;
  Buffer token_, position_, kv_block_;  // [rows] i32; the only slot is 0
  Buffer wanted_;                       // [1] i32
  Buffer logits_;                       // [1, vocabulary with padding] f32
};

/// Bytes that a TransformerDecoder takes.
std::int64_t decoder_bytes(const TransformerSpec& spec, const TransformerSettings& settings);

}  // namespace ferula
