// How host code of the CUDA backend looks at views and launches kernels: types, alignment, block counts, checks.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "base/narrow.hpp"
#include "device/cuda/cuda_error.hpp"
#include "ops/cuda/kernel_call.hpp"
#include "ops/operands.hpp"

namespace ferula::cuda {

/// Throws a DeviceError with the name of the kernel when its launch failed.
inline void check_launch(const char* kernel) { check_cuda(cudaGetLastError(), "launch of {}", kernel); }

/// Where a kernel runs, and in which shape.
struct Grid {
  cudaStream_t stream = nullptr;
  dim3 blocks, threads;
  std::size_t shared_bytes = 0;  // dynamic ones
};

/// Whether kernels are launched so that their blocks may take free multiprocessors while the kernel before ends
/// (programmatic dependent launch, compute capability 9.0); FERULA_DEPENDENT_LAUNCH=none says no.
bool launches_dependents();

/// Launches kernel(arguments…), whose first statement is await_previous_kernel(). Throws as check_launch.
template <class... Parameters>
void launch_kernel(const Grid& grid, const char* name, void (*kernel)(Parameters...),
                   std::type_identity_t<Parameters>... arguments) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid.blocks;
  config.blockDim = grid.threads;
  config.dynamicSmemBytes = grid.shared_bytes;
  config.stream = grid.stream;
  config.attrs = &early;
  config.numAttrs = launches_dependents() ? 1 : 0;
  call_kernel(config, kernel, arguments...);
  check_launch(name);
}

/// A grid's size; FERULA_CHECKs that it is one.
inline unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  const std::int64_t blocks = ceil_div(items, per_block);
  FERULA_CHECK(blocks >= 1 && blocks <= 0x7fffffff, "a grid of {} blocks", blocks);
  return static_cast<unsigned>(blocks);
}

/// Whether every row of the matrix begins at a multiple of `bytes` (at most 16).
bool rows_aligned(const TensorView& matrix, std::int64_t bytes);

/// The alignment of V elements of the view's type in a Pack.
inline std::int64_t pack_bytes(const TensorView& view, std::int64_t elements) {
  return std::min<std::int64_t>(16, elements * bytes_of(view.dtype));
}

/// Calls f with a float or a __nv_bfloat16, by the view's type.
template <class F>
void with_type(DType dtype, F f) {
  FERULA_CHECK(dtype == DType::f32 || dtype == DType::bf16, "no arithmetic on {}", name_of(dtype));
  dtype == DType::bf16 ? f(__nv_bfloat16{}) : f(float{});
}

/// The elements of a view as a kernel of type T sees them. T may be const, and __nv_bfloat16 for bf16.
template <class T>
T* elements(const TensorView& view) {
  using Plain = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Plain, __nv_bfloat16>)
    FERULA_CHECK(view.data == nullptr || view.dtype == DType::bf16, "bf16 expected, found {}", name_of(view.dtype));
  else
    FERULA_CHECK(view.data == nullptr || view.dtype == dtype_of<Plain>, "{} expected, found {}",
                 name_of(dtype_of<Plain>), name_of(view.dtype));
  return reinterpret_cast<T*>(view.data);
}

}  // namespace ferula::cuda
