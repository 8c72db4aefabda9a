// Rotary position embedding on the CPU. Contract: ops/ops.hpp.
#pragma once

#include "ops/ops.hpp"

namespace ferula::cpu {

/// Angles, sines and cosines are computed in double: they are exact to f32 rounding at every i32 position.
/// Cost: head_dim/2 sines and cosines a row, shared by its heads.
void rotary(TensorView x, TensorView position, float theta, RotaryDirection direction);

}  // namespace ferula::cpu
