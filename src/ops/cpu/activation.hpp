// The feed-forward layers' non-linear functions of the CPU backend; contracts in ops.hpp.
#pragma once

#include "ops/ops.hpp"

namespace ferula::cpu {

void gelu(TensorView x, TensorView y);
void gelu_backward(TensorView x, TensorView dy, TensorView dx);
void swiglu(TensorView gate_up, TensorView y);
void swiglu_backward(TensorView gate_up, TensorView dy, TensorView dgate_up);

}  // namespace ferula::cpu
