// LayerNorm and RMSNorm of the CPU backend, with the residual addition that precedes them; contracts in ops.hpp.
#pragma once

#include "ops/cpu/workspace.hpp"
#include "ops/ops.hpp"

namespace ferula::cpu {

void residual_norm(const NormSpec& spec, TensorView residual, TensorView delta, TensorView weight, TensorView bias,
                   TensorView y, TensorView statistics);
/// dweight and dbias are summed over fixed blocks of rows: the same bits for any number of threads.
/// Bytes of the workspace that `norm_backward` takes.
std::int64_t norm_backward_scratch(std::int64_t rows, std::int64_t width);
void norm_backward(Workspace& workspace, const NormSpec& spec, TensorView dy, TensorView x, TensorView weight,
                   TensorView statistics, TensorView dx, Accumulate accumulate, TensorView dweight, TensorView dbias);

}  // namespace ferula::cpu
