// What the number of a ZeRO stage says, for files and questions about it. Runs ask their plan (params/zero_plan.hpp).
#pragma once

#include "config/run_config.hpp"

namespace ferula {

inline bool shares_optimizer(const ZeroConfig& zero) { return zero.stage >= 1; }
inline bool shares_gradients(const ZeroConfig& zero) { return zero.stage >= 2; }
inline bool shares_parameters(const ZeroConfig& zero) { return zero.stage >= 3; }

}  // namespace ferula
