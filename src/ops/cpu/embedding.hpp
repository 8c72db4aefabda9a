// Table look-ups of the CPU backend and their gradients; contracts in ops.hpp.
#pragma once

#include "ops/ops.hpp"

namespace ferula::cpu {

void embed(TensorView token, TensorView position, TensorView table, TensorView positions, TensorView y);
/// Threads own columns, and each adds the rows in their order: the same bits for any number of threads.
void embed_backward(TensorView token, TensorView position, TensorView dy, TensorView dtable, TensorView dpositions);
void gather_rows(TensorView x, TensorView row, TensorView y);

}  // namespace ferula::cpu
