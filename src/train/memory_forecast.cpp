// Adds up what each part says that it will take.
#include "train/memory_forecast.hpp"

#include <algorithm>
#include <numeric>

#include "checkpoint/checkpoint_writer.hpp"
#include "model/operation_scratch.hpp"

namespace ferula {

std::int64_t sum_of(const MemoryByKind& bytes) { return std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0}); }

namespace {

/// Whether a micro batch adds to what another has left: where the gradient stays whole in between.
bool adds_gradients(const TrainingShape& shape, Mesh& mesh) {
  if (shape.batch.accumulation == 1) return false;
  const RangesByUnit units = lay_out_ranges(shape.model, shape.store, mesh);
  return std::any_of(units.begin(), units.end(), [](const std::vector<ShardedRange>& ranges) {
    return std::any_of(ranges.begin(), ranges.end(),
                       [](const ShardedRange& range) { return range.layout.trainable && range.gradient_is_whole(); });
  });
}

}  // namespace

MemoryByKind forecast_memory(const TrainingShape& shape, Mesh& mesh, Ops& ops) {
  return forecast_memory(
      shape, mesh,
      training_scratch(ops, shape.spec, shape.transformer, shape.sequence_length, adds_gradients(shape, mesh)));
}

MemoryByKind forecast_memory(const TrainingShape& shape, Mesh& mesh, const ScratchBytes& scratch) {
  const StoreBytes store = store_bytes(lay_out_ranges(shape.model, shape.store, mesh), shape.store);
  MemoryByKind bytes{};
  const auto of = [&](MemoryKind kind) -> std::int64_t& { return bytes.at(static_cast<std::size_t>(kind)); };
  of(MemoryKind::parameters) = store.parameters;
  of(MemoryKind::gradients) = store.gradients;
  of(MemoryKind::optimizer) = store.optimizer;
  of(MemoryKind::activations) = transformer_bytes(shape.spec, shape.transformer, whole_model(shape.spec));
  of(MemoryKind::buffers) = mesh.transit_bytes() + store.buffers + scratch.sum() +
                            batch_loader_bytes(shape.batch, shape.sequence_length) + checkpoint_staging_bytes();
  return bytes;
}

std::int64_t forecast_host_memory(const TrainingShape& shape, Mesh& mesh) {
  return store_bytes(lay_out_ranges(shape.model, shape.store, mesh), shape.store).host();
}

}  // namespace ferula
