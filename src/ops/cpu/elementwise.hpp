// Plain passes over memory of the CPU backend: sums, conversions, constants; contracts in ops.hpp.
#pragma once

#include "ops/ops.hpp"

namespace ferula::cpu {

void add(TensorView x, TensorView y);
void copy(TensorView from, TensorView to);
void fill(TensorView x, float value);
void sum_of_squares(TensorView x, TensorView total);

}  // namespace ferula::cpu
