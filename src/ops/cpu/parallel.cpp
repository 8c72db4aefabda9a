// Views as matrices.
#include "ops/cpu/parallel.hpp"

namespace ferula::cpu {

TensorView as_matrix(TensorView view) {
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

}  // namespace ferula::cpu
