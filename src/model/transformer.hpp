// A transformer, or the part of one that a pipeline stage holds: forward, backward, evaluation and decoding over the
// parameter store's units.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "model/block.hpp"
#include "model/head.hpp"
#include "model/kv_cache.hpp"
#include "model/parameter_table.hpp"

namespace ferula {

/// Blocks [first_block, end_block). The part with the first block also embeds, the one with the last also predicts.
struct ModelChunk {
  std::int64_t first_block = 0;
  std::int64_t end_block = 0;
};

/// The chunk that is the whole model.
ModelChunk whole_model(const TransformerSpec& spec);

struct TransformerSettings {
  DType compute = DType::f32;           // of activations; the storage type of the table
  std::int64_t rows = 1;                // most rows of one micro batch
  std::int64_t slots = 1;               // micro batches that are under way at once; 0: no backward pass
  std::int64_t logit_bytes = 64 << 20;  // logits that exist at once: more means fewer sweeps over the head's gradient
  std::uint64_t seed = 0;               // of dropout
};

/// Rows of which the head makes logits at once.
std::int64_t logit_rows(const TransformerSpec& spec, const TransformerSettings& settings);

/// Bytes that a Transformer takes as activations, at its construction and never again.
std::int64_t transformer_bytes(const TransformerSpec& spec, const TransformerSettings& settings,
                               const ModelChunk& chunk);

/// All ranks make the same calls in the same order, also with batches of zero rows: each call acquires and reduces
/// units. References must outlive it.
class Transformer {
 public:
  /// Throws CapacityError when the activations do not fit.
  Transformer(const TransformerSpec& spec, ParameterStore& store, Execution& execution,
              const TransformerSettings& settings, const ModelChunk& chunk);
  Transformer(const TransformerSpec& spec, ParameterStore& store, Execution& execution,
              const TransformerSettings& settings)
      : Transformer(spec, store, execution, settings, whole_model(spec)) {}

  const TransformerSpec& spec() const { return spec_; }
  const TransformerSettings& settings() const { return settings_; }

  // --- training -----------------------------------------------------------------------------------------------------
  /// Starts bringing the values that `forward` begins with; harmless where they are there.
  void prefetch();
  /// Keeps in `slot` what the backward pass of this micro batch needs. The head waits for `backward`.
  void forward(const TokenBatch& batch, std::int64_t slot);
  /// Adds the gradient of scale · Σ −log p(target) over the rows of `batch`, which was the last in `slot`, and reduces
  /// each unit when it is complete. Returns Σ −log p(target) in nats, unscaled; 0 from a part that does not predict.
  /// `scale` is one divided by the targets of the whole global batch: then every token weighs alike in any layout.
  /// `state`: complete in the step's last micro batch; then the sums over ranks run beside the rest of the pass.
  double backward(const TokenBatch& batch, std::int64_t slot, float scale,
                  GradientState state = GradientState::partial);

  // --- borders of a part, all [rows, width] of the compute type
  // --------------------------------------------------------
  /// Where the part before puts the residual stream, before `forward`.
  TensorView input(std::int64_t rows, std::int64_t slot);
  /// The residual stream behind this part's last block, after `forward` of a part that does not predict.
  TensorView output(std::int64_t slot) const { return slots_.at(static_cast<std::size_t>(slot)).kept.output; }
  /// Before `backward` the gradient at the output, which a part that predicts makes itself; after it, at the input.
  TensorView gradient(std::int64_t slot) const { return slots_.at(static_cast<std::size_t>(slot)).kept.gradient; }

  // --- inference, of the whole model
  // ------------------------------------------------------------------------------------
  /// Σ −log p(target) in nats, without dropout.
  double evaluate(const TokenBatch& batch);
  /// losses [rows] f32: −log p(target) of each row, 0 where the row has no target.
  void token_losses(const TokenBatch& batch, TensorView losses);
  /// Reads rows that continue the sequences in `cache` (slot batch.kv_block, position batch.position; of one sequence
  /// in ascending order) and gives the logits of some of them: wanted [n] i32 are row numbers, logits
  /// [n, vocabulary] f32. Columns from spec().tokens on are padding.
  void decode(const TokenBatch& batch, const KvCache& cache, TensorView wanted, TensorView logits);

 private:
  struct Slot {
    explicit Slot(Device& device) : arena(device, MemoryKind::activations) {}
    Arena arena;
    TensorView gradient;  // [settings.rows, width] T: in place for good, a neighbour may still be reading it
    std::optional<Arena::Scope> taken;
    ChunkActivations kept;
  };

  bool embeds() const { return chunk_.first_block == 0; }
  bool predicts() const { return chunk_.end_block == spec_.layers; }
  std::size_t unit_of(std::size_t block) const { return block_unit(chunk_.first_block) + block; }
  ActivationSizes sizes(std::int64_t rows) const;
  ChunkActivations& begin(std::int64_t rows, std::int64_t slot);
  void prefetch_behind(std::size_t block);
  void embed(const TokenBatch& batch, PassKind pass, TensorView y);
  void embed_backward(const TokenBatch& batch, TensorView gradient, UnitLease contribution, GradientState state);
  void head_backward(const TokenBatch& batch, float scale, ChunkActivations& kept, GradientState state,
                     UnitLease& shared);
  void block_backward(const TokenBatch& batch, std::size_t block, ChunkActivations& kept, GradientState state);
  void infer(const TokenBatch& batch, InferenceScratch& scratch, const KvCache* cache);
  void infer_losses(const TokenBatch& batch, InferenceScratch& scratch, const HeadScratch& head);
  void bring_losses(TensorView losses);
  double sum_of_losses(std::int64_t rows, Event there);

  TransformerSpec spec_;
  ParameterStore* store_;
  Execution* execution_;
  TransformerSettings settings_;
  ModelChunk chunk_;
  std::vector<Block> blocks_;
  std::optional<Head> head_;
  std::size_t token_table_ = kAbsent;     // index in the first unit
  std::size_t position_table_ = kAbsent;  // index in the first unit
  bool trains_embedding_ = false;
  std::size_t lowest_trained_ = 0;  // no block below it, nor the embedding, needs a gradient
  std::uint64_t dropout_key_;
  std::deque<Slot> slots_;
  Arena scratch_;
  Buffer losses_;  // [settings.rows] f32, where the host reads them
};

}  // namespace ferula
