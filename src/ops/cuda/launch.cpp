#include "ops/cuda/launch.hpp"

#include <cstdlib>
#include <string_view>

namespace ferula::cuda {
namespace {

bool asked_for() {
  const char* wanted = std::getenv("FERULA_DEPENDENT_LAUNCH");
  return wanted == nullptr || std::string_view(wanted) != "none";
}

bool supported() {
  int device = 0, major = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cudaDeviceGetAttribute");
  return major >= 9;
}

}  // namespace

bool launches_dependents() {
  static const bool answer = asked_for() && supported();
  return answer;
}

bool rows_aligned(const TensorView& matrix, std::int64_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(matrix.data);
  const bool begins_well = address % static_cast<std::uintptr_t>(bytes) == 0;
  return begins_well && (matrix.dim(0) <= 1 || matrix.stride(0) * bytes_of(matrix.dtype) % bytes == 0);
}

}  // namespace ferula::cuda
