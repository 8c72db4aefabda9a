// Small helpers of the products: views as oneDNN likes them, and the sizes of widened blocks.
#pragma once

#include <utility>

#include "device/tensor_view.hpp"

namespace ferula::cpu {

/// A matrix with its axes exchanged; nothing moves.
inline TensorView transposed(TensorView view) {
  std::swap(view.dims[0], view.dims[1]);
  std::swap(view.strides[0], view.strides[1]);
  return view;
}

/// Whether oneDNN writes there at full speed: f32 without gaps between rows, which its fast product refuses.
inline bool takes_sums(const TensorView& view) { return view.dtype == DType::f32 && view.contiguous(); }

/// Columns of one widened block of a factor [k, n].
std::int64_t wide_block_columns(std::int64_t k, std::int64_t n);

}  // namespace ferula::cpu
