// The memory that a rank of `generate` will hold, by kind, before any of it is allocated.
#pragma once

#include "comm/mesh.hpp"
#include "config/run_config.hpp"
#include "model/transformer.hpp"
#include "train/memory_forecast.hpp"

namespace ferula {

/// Tokens of a prompt that `generate` reads at once, at most.
inline constexpr std::int64_t kPromptRows = 256;
/// Rows of one call of a model that writes texts.
std::int64_t generation_rows(const Config& config);
TransformerSettings inference_settings(const Config& config, std::int64_t rows);

/// What a rank holds at most.
struct InferenceMemory {
  MemoryByKind loaded{};      // values, with what brings them from the disk
  MemoryByKind generating{};  // with activations and the cache of a text as long as the model's context
};

/// What the ledger counts at the end of `generate` on the calling rank, which writes one text at a time. `ops` computes
/// nothing and should be those of a counting device, as forms of weights are asked for to learn their size. Called with
/// the rank's number of threads.
InferenceMemory forecast_inference(const Config& config, const TransformerSpec& spec, Mesh& mesh, Device& device,
                                   Ops& ops);

}  // namespace ferula
