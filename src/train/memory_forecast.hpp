// The memory that a rank will hold at most in a training run, by kind, before any of it is allocated.
#pragma once

#include <array>

#include "comm/mesh.hpp"
#include "model/transformer.hpp"
#include "params/store_memory.hpp"
#include "train/batch_loader.hpp"

namespace ferula {

/// Bytes by MemoryKind.
using MemoryByKind = std::array<std::int64_t, kMemoryKinds>;
std::int64_t sum_of(const MemoryByKind& bytes);

/// What the memory of a run depends on.
struct TrainingShape {
  const ModelSpec& model;
  StoreSettings store;
  TransformerSpec spec;
  TransformerSettings transformer;
  BatchShape batch;
  std::int64_t sequence_length = 0;
};

/// The calling rank's peak in steps and saves: what the ledger counts at the end of a run, with the scratch memory of
/// `ops`. Called where the rank computes, for its number of threads.
MemoryByKind forecast_memory(const TrainingShape& shape, Mesh& mesh, Ops& ops);
/// The same with so much scratch memory.
MemoryByKind forecast_memory(const TrainingShape& shape, Mesh& mesh, const ScratchBytes& scratch);
/// What the rank will hold beside that in the host's memory, where optimizer state is offloaded.
std::int64_t forecast_host_memory(const TrainingShape& shape, Mesh& mesh);

}  // namespace ferula
