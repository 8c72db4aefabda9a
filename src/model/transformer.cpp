#include "model/transformer.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/narrow.hpp"
#include "base/philox.hpp"

namespace ferula {
namespace {

constexpr std::size_t kEmbeddingUnit = 0;
/// Products like their rows in multiples of it.
constexpr std::int64_t kRowMultiple = 16;

ActivationSizes sizes_of(const TransformerSpec& spec, const TransformerSettings& settings, const ModelChunk& chunk,
                         std::int64_t rows) {
  return {.rows = rows,
          .blocks = chunk.end_block - chunk.first_block,
          .logit_rows = logit_rows(spec, settings),
          .compute = settings.compute};
}

std::int64_t scratch_bytes(const TransformerSpec& spec, const TransformerSettings& settings,
                           const ActivationSizes& sizes) {
  const std::int64_t inference = inference_scratch_bytes(spec, sizes);
  return settings.slots == 0 ? inference : std::max(inference, training_scratch_bytes(spec, sizes));
}

std::int64_t loss_bytes(const TransformerSettings& settings) { return bytes_of(DType::f32, settings.rows); }

}  // namespace

std::int64_t logit_rows(const TransformerSpec& spec, const TransformerSettings& settings) {
  const std::int64_t affordable = settings.logit_bytes / (spec.vocabulary * bytes_of(DType::f32));
  const std::int64_t most = affordable < kRowMultiple ? affordable : affordable / kRowMultiple * kRowMultiple;
  const std::int64_t rows = std::max<std::int64_t>(settings.rows, 1);
  if (most < kRowMultiple || most >= rows) return std::clamp<std::int64_t>(most, 1, rows);
  const std::int64_t even = ceil_div(rows, ceil_div(rows, most));  // no small rest
  return ceil_div(even, kRowMultiple) * kRowMultiple;
}

ModelChunk whole_model(const TransformerSpec& spec) { return {0, spec.layers}; }

std::int64_t transformer_bytes(const TransformerSpec& spec, const TransformerSettings& settings,
                               const ModelChunk& chunk) {
  const ActivationSizes sizes = sizes_of(spec, settings, chunk, settings.rows);
  return settings.slots * activation_bytes(spec, sizes) + scratch_bytes(spec, settings, sizes) + loss_bytes(settings);
}

Transformer::Transformer(const TransformerSpec& spec, ParameterStore& store, Execution& execution,
                         const TransformerSettings& settings, const ModelChunk& chunk)
    : spec_(spec),
      store_(&store),
      execution_(&execution),
      settings_(settings),
      chunk_(chunk),
      dropout_key_(random_key(settings.seed, "embedding.dropout")),
      scratch_(execution.device, MemoryKind::activations),
      losses_(execution.device.allocate_shared(loss_bytes(settings), MemoryKind::activations)) {
  FERULA_CHECK(0 <= chunk.first_block && chunk.first_block < chunk.end_block && chunk.end_block <= spec.layers,
               "blocks [{}, {}) of {}", chunk.first_block, chunk.end_block, spec.layers);
  const ModelSpec& model = store.model();
  for (std::int64_t layer = chunk.first_block; layer < chunk.end_block; ++layer)
    blocks_.emplace_back(spec, model.at(block_unit(layer)), settings.seed);
  if (predicts()) head_.emplace(spec, model.at(head_unit(spec)));
  if (embeds()) {
    const UnitSpec& unit = model.at(kEmbeddingUnit);
    token_table_ = find_param(unit, "embedding.token.weight");
    position_table_ = find_param(unit, "embedding.position.weight");
    trains_embedding_ = unit.params.at(token_table_).trainable ||
                        (position_table_ != kAbsent && unit.params[position_table_].trainable);
    while (!trains_embedding_ && lowest_trained_ < blocks_.size() && !model[unit_of(lowest_trained_)].trains())
      ++lowest_trained_;
  }
  const ActivationSizes planned = sizes(settings.rows);
  for (std::int64_t index = 0; index < settings.slots; ++index) {
    Slot& slot = slots_.emplace_back(execution.device);
    slot.arena.reserve(activation_bytes(spec, planned));
    slot.gradient = slot.arena.take(settings.compute, {settings.rows, spec.width});
  }
  scratch_.reserve(scratch_bytes(spec, settings, planned));
}

ActivationSizes Transformer::sizes(std::int64_t rows) const {
  FERULA_CHECK(rows <= settings_.rows, "a micro batch of {} rows, planned for {}", rows, settings_.rows);
  return sizes_of(spec_, settings_, chunk_, rows);
}

// --- training -------------------------------------------------------------------------------------------------------

/// The same rows give the same addresses each time, so a part's input may be taken before its forward pass.
ChunkActivations& Transformer::begin(std::int64_t rows, std::int64_t slot_index) {
  Slot& slot = slots_.at(static_cast<std::size_t>(slot_index));
  slot.taken.emplace(slot.arena);
  take_chunk(slot.arena, spec_, sizes(rows), slot.kept);
  slot.kept.gradient = slot.gradient.rows(0, rows);
  return slot.kept;
}

TensorView Transformer::input(std::int64_t rows, std::int64_t slot) {
  const ChunkActivations& kept = begin(rows, slot);
  return kept.blocks.front().input;
}

void Transformer::prefetch() { store_->prefetch(embeds() ? kEmbeddingUnit : unit_of(0)); }

void Transformer::forward(const TokenBatch& batch, std::int64_t slot) {
  const TensorView entry = input(batch.rows, slot);
  ChunkActivations& kept = slots_.at(static_cast<std::size_t>(slot)).kept;
  if (embeds()) embed(batch, PassKind::training, entry);
  TensorView stream;
  for (std::size_t block = 0; block < blocks_.size(); ++block) {
    const UnitLease values = store_->acquire(unit_of(block));
    prefetch_behind(block);
    const TensorView output = block + 1 < blocks_.size() ? kept.blocks[block + 1].input : kept.output;
    blocks_[block].forward({*execution_, values}, batch, PassKind::training, kept.blocks[block], stream, output);
    stream = kept.blocks[block].middle;
  }
  if (!predicts()) execution_->ops.add(execution_->compute, kept.output, stream);
}

double Transformer::backward(const TokenBatch& batch, std::int64_t slot, float scale, GradientState state) {
  ChunkActivations& kept = slots_.at(static_cast<std::size_t>(slot)).kept;
  UnitLease shared;  // the gradient of an embedding that is also the head, until both have added to it
  if (predicts()) head_backward(batch, scale, kept, state, shared);
  const Event losses_are_there = execution_->compute.record();
  for (std::size_t block = blocks_.size(); block-- > lowest_trained_;) block_backward(batch, block, kept, state);
  if (trains_embedding_) {
    UnitLease contribution = shared ? std::move(shared) : store_->gradient(kEmbeddingUnit);
    embed_backward(batch, kept.gradient, std::move(contribution), state);
  }
  // Only now: a device that runs beside the host has the whole pass to do by then.
  return predicts() ? sum_of_losses(batch.rows, losses_are_there) : 0.0;
}

void Transformer::head_backward(const TokenBatch& batch, float scale, ChunkActivations& kept, GradientState state,
                                UnitLease& shared) {
  const Arena::Scope scope(scratch_);
  const ActivationSizes planned = sizes(batch.rows);
  const HeadScratch head = take_head(scratch_, spec_, planned);
  const HeadGradients gradients = take_head_gradients(scratch_, spec_, planned);
  const std::size_t unit = head_unit(spec_);
  const UnitLease values = store_->acquire(unit);
  UnitLease contribution = store_->gradient(unit);
  if (lowest_trained_ < blocks_.size()) store_->prefetch(unit_of(blocks_.size() - 1));

  head_->losses_and_gradient({*execution_, values, &contribution}, batch, scale, kept.output, kept.blocks.back().middle,
                             head, gradients, kept.gradient);
  if (spec_.tied && trains_embedding_)
    shared = std::move(contribution);
  else
    store_->reduce(std::move(contribution), state);
  bring_losses(head.losses);
}

void Transformer::block_backward(const TokenBatch& batch, std::size_t block, ChunkActivations& kept,
                                 GradientState state) {
  const UnitLease values = store_->acquire(unit_of(block));
  UnitLease contribution = store_->gradient(unit_of(block));
  if (block > lowest_trained_) store_->prefetch(unit_of(block - 1));
  blocks_[block].backward({*execution_, values, &contribution}, batch, kept.blocks[block], kept.gradient, scratch_,
                          sizes(batch.rows));
  store_->reduce(std::move(contribution), state);
}

void Transformer::prefetch_behind(std::size_t block) {
  if (block + 1 < blocks_.size())
    store_->prefetch(unit_of(block + 1));
  else if (predicts())
    store_->prefetch(head_unit(spec_));
}

void Transformer::embed(const TokenBatch& batch, PassKind pass, TensorView y) {
  const UnitLease values = store_->acquire(kEmbeddingUnit);
  store_->prefetch(unit_of(0));
  const UnitPass unit{*execution_, values};
  execution_->ops.embed(execution_->compute, batch.token, batch.position, unit.value(token_table_),
                        unit.value(position_table_), y);
  if (pass == PassKind::training && spec_.dropout > 0.0f)
    execution_->ops.dropout(execution_->compute, dropout_at(spec_, dropout_key_, batch), y);
}

void Transformer::embed_backward(const TokenBatch& batch, TensorView gradient, UnitLease contribution,
                                 GradientState state) {
  if (spec_.dropout > 0.0f)
    execution_->ops.dropout(execution_->compute, dropout_at(spec_, dropout_key_, batch), gradient);
  const TensorView positions = position_table_ == kAbsent ? TensorView{} : contribution.tensor(position_table_);
  execution_->ops.embed_backward(execution_->compute, batch.token, batch.position, gradient,
                                 contribution.tensor(token_table_), positions);
  store_->reduce(std::move(contribution), state);
}

// --- inference ------------------------------------------------------------------------------------------------------

double Transformer::evaluate(const TokenBatch& batch) {
  const Arena::Scope scope(scratch_);
  InferenceScratch scratch = take_inference(scratch_, spec_, sizes(batch.rows));
  const HeadScratch head = take_head(scratch_, spec_, sizes(batch.rows));
  infer_losses(batch, scratch, head);
  bring_losses(head.losses);
  return sum_of_losses(batch.rows, execution_->compute.record());
}

void Transformer::token_losses(const TokenBatch& batch, TensorView losses) {
  const Arena::Scope scope(scratch_);
  InferenceScratch scratch = take_inference(scratch_, spec_, sizes(batch.rows));
  const HeadScratch head = take_head(scratch_, spec_, sizes(batch.rows));
  infer_losses(batch, scratch, head);
  execution_->ops.copy(execution_->compute, head.losses, losses);
}

void Transformer::infer_losses(const TokenBatch& batch, InferenceScratch& scratch, const HeadScratch& head) {
  infer(batch, scratch, nullptr);
  const UnitLease values = store_->acquire(head_unit(spec_));
  head_->losses({*execution_, values}, batch, scratch.block.input, scratch.block.middle, head);
}

/// Afterwards the last output is in scratch.block.input and the stream without it in scratch.block.middle.
void Transformer::infer(const TokenBatch& batch, InferenceScratch& scratch, const KvCache* cache) {
  FERULA_CHECK(embeds() && predicts(), "a part of a model cannot predict");
  embed(batch, PassKind::inference, scratch.block.input);
  TensorView stream;
  for (std::size_t block = 0; block < blocks_.size(); ++block) {
    const UnitLease values = store_->acquire(unit_of(block));
    prefetch_behind(block);
    const UnitPass unit{*execution_, values};
    if (cache == nullptr)
      blocks_[block].forward(unit, batch, PassKind::inference, scratch.block, stream, scratch.output);
    else
      blocks_[block].decode(unit, batch, cache->of_layer(static_cast<std::int64_t>(block)), scratch.block, stream,
                            scratch.output);
    stream = scratch.block.middle;
    std::swap(scratch.block.input, scratch.output);
  }
}

void Transformer::decode(const TokenBatch& batch, const KvCache& cache, TensorView wanted, TensorView logits) {
  const Arena::Scope scope(scratch_);
  InferenceScratch scratch = take_inference(scratch_, spec_, sizes(batch.rows));
  infer(batch, scratch, &cache);
  const DecodeScratch last = take_decode(scratch_, spec_, sizes(wanted.count()));
  const UnitLease values = store_->acquire(head_unit(spec_));
  execution_->ops.gather_rows(execution_->compute, scratch.block.input, wanted, last.output);
  execution_->ops.gather_rows(execution_->compute, scratch.block.middle, wanted, last.stream);
  head_->logits({*execution_, values}, last.output, last.stream, last.normed, last.statistics, logits);
}

void Transformer::bring_losses(TensorView losses) {
  execution_->device.copy(execution_->compute, losses.data, losses_.data(), losses.bytes());
}

double Transformer::sum_of_losses(std::int64_t rows, Event there) {
  execution_->compute.synchronize(there.ticket);
  const std::span<const float> values = losses_.flat(DType::f32).range(0, rows).span<float>();
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace ferula
