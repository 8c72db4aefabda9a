// What the operations of a training step take beside their operands, asked of the backend for each shape of the model.
#pragma once

#include "model/transformer.hpp"

namespace ferula {

/// Of a whole model whose micro batches are sequences of `sequence_length`; where all of it is trained, which takes
/// most. `adds_gradients`: micro batches add to each other's. Called where the model computes: scratch may depend on
/// the thread's number of threads. Allocates nothing.
ScratchBytes training_scratch(Ops& ops, const TransformerSpec& spec, const TransformerSettings& settings,
                              std::int64_t sequence_length, bool adds_gradients);

/// Of a forward pass that keeps nothing and predicts one row.
ScratchBytes inference_scratch(Ops& ops, const TransformerSpec& spec, const TransformerSettings& settings);

}  // namespace ferula
