// The optimizer's sweep over a flat range on the CPU; contract in ops.hpp.
#pragma once

#include "ops/ops.hpp"

namespace ferula::cpu {

/// The decay segments are in ascending order and disjoint; elements outside of all of them have no decay.
void optimizer_update(const OptimizerRule& rule, TensorView scalars, const OptimizerRange& range);

}  // namespace ferula::cpu
