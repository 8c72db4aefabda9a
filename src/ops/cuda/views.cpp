// Shapes of views as the launchers of kernels need them.
#include "ops/cuda/launch.hpp"

namespace ferula::cuda {

TensorView as_matrix(const TensorView& view) {
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

bool rows_aligned(const TensorView& matrix, std::int64_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(matrix.data);
  const bool begins_well = address % static_cast<std::uintptr_t>(bytes) == 0;
  return begins_well && (matrix.dim(0) <= 1 || matrix.stride(0) * bytes_of(matrix.dtype) % bytes == 0);
}

}  // namespace ferula::cuda
