// The model's only input: one entry a row. Packing, continuous batching, agents and steering all read this.
#pragma once

#include "device/tensor_view.hpp"

namespace ferula {

/// Rows of one or several sequences that lie one after the other. Views; the loader or the generator owns the memory.
struct TokenBatch {
  TensorView token;     // [rows] i32
  TensorView position;  // [rows] i32, within its sequence
  TensorView target;    // [rows] i32, −1: no loss; empty when only logits are wanted
  TensorView sample;    // [rows] i64, the sample's index in the global order of the run: keys dropout
  TensorView starts;    // [sequences + 1] i32: rows of sequence s are [starts[s], starts[s + 1])
  TensorView kv_block;  // [rows] i32, the cache slot of the row's sequence; empty in training
  TensorView step;      // [1] i64, the training step at a stable address: keys dropout
  std::int64_t rows = 0;
  std::int64_t targets = 0;  // rows with target ≥ 0
};

}  // namespace ferula
