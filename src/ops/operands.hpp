// What every backend asks of an operation's operands before it touches their memory.
#pragma once

#include <algorithm>
#include <array>

#include "device/tensor_view.hpp"

namespace ferula {

/// Checks that the views share one compute type, f32 or bf16.
template <class... Views>
void check_compute_type(const TensorView& first, const Views&... others) {
  FERULA_CHECK(first.dtype == DType::f32 || first.dtype == DType::bf16, "no arithmetic on {}", name_of(first.dtype));
  FERULA_CHECK(((others.dtype == first.dtype) && ...), "one type expected, the first view holds {}",
               name_of(first.dtype));
}

/// The view as [rows, width]: the first dimension against all others, which must lie next to each other.
inline TensorView as_matrix(const TensorView& view) {
  FERULA_CHECK(view.rank >= 1, "an empty view has no rows");
  std::int64_t width = 1;
  for (int axis = view.rank - 1; axis >= 1; --axis) {
    FERULA_CHECK(view.dim(axis) == 1 || view.stride(axis) == width, "stride {} of axis {} where rows need {}",
                 view.stride(axis), axis, width);
    width *= view.dim(axis);
  }
  TensorView matrix(view.data, view.dtype, {view.dim(0), width});
  matrix.strides[0] = view.stride(0);
  return matrix;
}

/// The views as matrices of equal shape: one row where all are contiguous.
template <std::size_t N>
std::array<TensorView, N> as_matrices(std::array<TensorView, N> views) {
  const std::int64_t count = views[0].count();
  const bool flat = std::all_of(views.begin(), views.end(), [](const TensorView& view) { return view.contiguous(); });
  for (TensorView& view : views) {
    FERULA_CHECK(view.count() == count, "{} elements beside {}", view.count(), count);
    view = flat ? view.reshaped({1, count}) : as_matrix(view);
    FERULA_CHECK(view.dim(0) == views[0].dim(0), "{} rows beside {}", view.dim(0), views[0].dim(0));
  }
  return views;
}

}  // namespace ferula
