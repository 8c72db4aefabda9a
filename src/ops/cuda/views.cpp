// Alignment of views as the launchers of kernels need it.
#include "ops/cuda/launch.hpp"

namespace ferula::cuda {

bool rows_aligned(const TensorView& matrix, std::int64_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(matrix.data);
  const bool begins_well = address % static_cast<std::uintptr_t>(bytes) == 0;
  return begins_well && (matrix.dim(0) <= 1 || matrix.stride(0) * bytes_of(matrix.dtype) % bytes == 0);
}

}  // namespace ferula::cuda
