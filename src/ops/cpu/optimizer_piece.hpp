// A piece of an optimizer's flat range under one weight decay, as its kernels see it.
#pragma once

#include <cstdint>

#include "base/dtype.hpp"

namespace ferula::cpu {

/// All pointers are at the piece's first element; those that the rule does not use are null.
struct OptimizerPiece {
  std::int64_t count;
  const float* gradient;
  float* master;
  bf16* value;
  float* moment1;
  float* moment2;
  double lr;
  double gradient_scale;
  double correction1;
  double correction2;
  double weight_decay;
  bool first_step;
  bool streams_value;  // the copy is larger than a cache: written past it
};

}  // namespace ferula::cpu
