// Additions, conversions and constants, one sweep over memory each.
#include "ops/cuda/elementwise.hpp"
#include "ops/cuda/pointwise.cuh"
#include "ops/cuda/previous_kernel.cuh"

namespace ferula::cuda {
namespace {

struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Same {
  __device__ float operator()(float a) const { return a; }
};
struct Constant {
  float value;
  __device__ float operator()() const { return value; }
};

/// An element of 1 to 16 bytes, whatever it means.
template <int kBytes>
struct alignas(kBytes) Unit {
  unsigned char bytes[kBytes];
};

/// to[i] = from[row[i]], or from[i] without `row`; `units` units a row.
template <int kBytes>
__global__ void __launch_bounds__(kPointwiseThreads)
    move_rows_kernel(std::int64_t rows, std::int64_t units, Rows<const unsigned char> from, const std::int32_t* row,
                     std::int64_t from_rows, Rows<unsigned char> to) {
  await_previous_kernel();
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t target = rows == 1 ? 0 : index / units;
  const std::int64_t at = index - target * units;
  if (target >= rows || at >= units) return;
  const std::int64_t source = row == nullptr ? target : row[target];
  if (source < 0 || source >= from_rows) __trap();
  using Element = Unit<kBytes>;
  reinterpret_cast<Element*>(to.row(target))[at] = reinterpret_cast<const Element*>(from.row(source))[at];
}

template <int kBytes>
void launch_move(cudaStream_t stream, const char* name, const TensorView& from, const std::int32_t* row,
                 const TensorView& to) {
  const std::int64_t width = bytes_of(from.dtype);
  const std::int64_t units = to.dim(1) * width / kBytes;
  launch_kernel({stream, blocks_for(to.dim(0) * units, kPointwiseThreads), kPointwiseThreads}, name,
                move_rows_kernel<kBytes>, to.dim(0), units,
                {reinterpret_cast<const unsigned char*>(from.data), from.stride(0) * width}, row, from.dim(0),
                {reinterpret_cast<unsigned char*>(to.data), to.stride(0) * width});
}

/// Moves whole rows of two matrices of one type in the largest units that both allow.
void move_rows(cudaStream_t stream, const char* name, const TensorView& from, const std::int32_t* row,
               const TensorView& to) {
  const auto fits = [&](std::int64_t bytes) {
    return rows_aligned(from, bytes) && rows_aligned(to, bytes) && to.dim(1) * bytes_of(to.dtype) % bytes == 0;
  };
  if (fits(16))
    launch_move<16>(stream, name, from, row, to);
  else if (fits(8))
    launch_move<8>(stream, name, from, row, to);
  else if (fits(4))
    launch_move<4>(stream, name, from, row, to);
  else if (fits(2))
    launch_move<2>(stream, name, from, row, to);
  else
    launch_move<1>(stream, name, from, row, to);
}

}  // namespace

void add(cudaStream_t stream, TensorView x, TensorView y) {
  if (x.count() == 0) return;
  const auto [sum, term] = as_matrices<2>({x, y});
  with_type(x.dtype, [&, sum = sum, term = term](auto x_type) {
    with_type(y.dtype, [&](auto y_type) {
      using X = decltype(x_type);
      using Y = decltype(y_type);
      pointwise(stream, "add", Sum{}, Typed<X>{sum}, Typed<const X>{sum}, Typed<const Y>{term});
    });
  });
}

void copy(cudaStream_t stream, TensorView from, TensorView to) {
  FERULA_CHECK(from.count() == to.count(), "{} elements into {}", from.count(), to.count());
  if (from.count() == 0) return;
  const auto [source, target] = as_matrices<2>({from, to});
  if (from.dtype == to.dtype) return move_rows(stream, "copy", source, nullptr, target);
  if (from.dtype == DType::f32)
    pointwise(stream, "copy", Same{}, Typed<bfloat>{target}, Typed<const float>{source});
  else
    pointwise(stream, "copy", Same{}, Typed<float>{target}, Typed<const bfloat>{source});
}

void fill(cudaStream_t stream, TensorView x, float value) {
  if (x.count() == 0) return;
  const auto [matrix] = as_matrices<1>({x});
  with_type(x.dtype, [&, matrix = matrix](auto type) {
    pointwise(stream, "fill", Constant{value}, Typed<decltype(type)>{matrix});
  });
}

void gather_rows(cudaStream_t stream, TensorView x, TensorView row, TensorView y) {
  FERULA_CHECK(x.dtype == y.dtype, "cannot gather {} into {}", name_of(x.dtype), name_of(y.dtype));
  FERULA_CHECK(row.count() == y.dim(0), "{} rows wanted, {} given", row.count(), y.dim(0));
  if (y.count() == 0) return;
  const TensorView from = as_matrix(x), to = as_matrix(y);
  FERULA_CHECK(from.dim(1) == to.dim(1), "rows of {} into rows of {}", from.dim(1), to.dim(1));
  move_rows(stream, "gather_rows", from, elements<const std::int32_t>(row), to);
}

}  // namespace ferula::cuda
