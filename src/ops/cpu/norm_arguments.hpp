// The views of one block of rows of a norm, bundled for its kernels.
#pragma once

#include "ops/ops.hpp"

namespace ferula::cpu {

struct NormForward {
  TensorView residual;    // [rows, width] T
  TensorView delta;       // like residual, or empty
  TensorView weight;      // [width] T
  TensorView bias;        // [width] T, or empty
  TensorView y;           // [rows, width] T
  TensorView statistics;  // [rows, 2] f32
};

struct NormBackward {
  TensorView dy;          // [rows, width] T
  TensorView x;           // [rows, width] T
  TensorView weight;      // [width] T
  TensorView statistics;  // [rows, 2] f32
  TensorView dx;          // [rows, width] T
  Accumulate accumulate;
  TensorView dweight;  // [width] f32, or empty
  TensorView dbias;    // [width] f32, or empty
};

}  // namespace ferula::cpu
