// Operations of the CPU backend that use random numbers: a value depends on keys and counters only.
#pragma once

#include "ops/ops.hpp"

namespace ferula::cpu {

/// The mask is the one of ops/dropout_counter.hpp.
void dropout(const DropoutSpec& spec, TensorView x);
void fill_normal(TensorView x, std::uint64_t key, std::int64_t first, float std);

}  // namespace ferula::cpu
