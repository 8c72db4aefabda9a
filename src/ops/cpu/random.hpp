// Operations of the CPU backend that use random numbers: a value depends on keys and counters only.
#pragma once

#include "ops/ops.hpp"

namespace ferula::cpu {

/// Column c of a row is dropped where word c mod 4 of philox(key', counter) is below rate · 2³², with
/// counter = {c / 4, position, low word of sample, high word of sample} and key' = key xor (step · 0x9E3779B97F4A7C15).
void dropout(const DropoutSpec& spec, TensorView x);
void fill_normal(TensorView x, std::uint64_t key, std::int64_t first, float std);

}  // namespace ferula::cpu
