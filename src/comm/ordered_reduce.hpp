// Reductions over the operands of several ranks in rank order: equal operands give equal bits on every transport.
#pragma once

#include <span>

#include "comm/communicator.hpp"

namespace ferula {

/// True for f32, f64, bf16, i32 and i64.
bool is_reducible(DType dtype);

/// destination[i] = sources[0][i] ⊕ sources[1][i] ⊕ …, from left to right, for each destination.
/// All views are contiguous and of one dtype and count; a destination may be a source. bf16 accumulates in f32 and is
/// rounded once. A NaN wins a maximum. Cost: one read of each source, one write of each destination.
void reduce_in_order(std::span<const TensorView> sources, std::span<const TensorView> destinations, ReduceOp op);

}  // namespace ferula
