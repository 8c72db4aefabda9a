// How host code of the CUDA backend looks at views and launches kernels: types, alignment, block counts, checks.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "device/cuda/cuda_error.hpp"
#include "device/tensor_view.hpp"

namespace ferula::cuda {

/// Throws a DeviceError with the name of the kernel when its launch failed.
inline void check_launch(const char* kernel) { check_cuda(cudaGetLastError(), "launch of {}", kernel); }

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// A grid's size; FERULA_CHECKs that it is one.
inline unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  const std::int64_t blocks = ceil_div(items, per_block);
  FERULA_CHECK(blocks >= 1 && blocks <= 0x7fffffff, "a grid of {} blocks", blocks);
  return static_cast<unsigned>(blocks);
}

/// The view as [rows, width] when every dimension but the first lies together, else a FERULA_CHECK fails.
TensorView as_matrix(const TensorView& view);

/// Checks that the views share one compute type, f32 or bf16.
template <class... Views>
void check_compute_type(const TensorView& first, const Views&... others) {
  FERULA_CHECK(first.dtype == DType::f32 || first.dtype == DType::bf16, "no arithmetic on {}", name_of(first.dtype));
  FERULA_CHECK(((others.dtype == first.dtype) && ...), "one type expected, the first view holds {}",
               name_of(first.dtype));
}

/// Whether every row of the matrix begins at a multiple of `bytes` (at most 16).
bool rows_aligned(const TensorView& matrix, std::int64_t bytes);

/// The alignment of V elements of the view's type in a Pack.
inline std::int64_t pack_bytes(const TensorView& view, std::int64_t elements) {
  return std::min<std::int64_t>(16, elements * bytes_of(view.dtype));
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
