// Softmax cross-entropy over a chunk of rows on the CPU. Contract: ops/ops.hpp.
#pragma once

#include "ops/ops.hpp"

namespace ferula::cpu {

/// Three passes over the logits: maximum, sum of exponentials, gradient. No scratch; `dlogits` may be `logits`.
void cross_entropy(TensorView logits, TensorView target, std::int64_t vocabulary, float scale, TensorView losses,
                   TensorView dlogits);

}  // namespace ferula::cpu
