// The matrix product for operands that no algorithm of the library accepts, and the addition of a bias of another type
// than the result's.
#include "ops/cuda/matmul.hpp"
#include "ops/cuda/pointwise.cuh"
#include "ops/cuda/previous_kernel.cuh"

namespace ferula::cuda {
namespace {

constexpr int kTile = 16;

/// Element [row, column] of a matrix that may lie transposed.
template <class T>
struct Operand {
  const T* data;
  std::int64_t row_step, column_step;

  __device__ __forceinline__ float at(std::int64_t row, std::int64_t column) const {
    return to_float(data[row * row_step + column * column_step]);
  }
};

template <class T, class Out>
__global__ void __launch_bounds__(kTile* kTile)
    plain_product_kernel(Operand<T> a, Operand<T> b, Rows<Out> c, const Out* bias, std::int64_t m, std::int64_t n,
                         std::int64_t k, bool adds) {
  await_previous_kernel();
  __shared__ float left[kTile][kTile + 1], right[kTile][kTile + 1];
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * kTile + y;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kTile + x;
  float sum = 0.0f;
  for (std::int64_t begin = 0; begin < k; begin += kTile) {
    left[y][x] = row < m && begin + x < k ? a.at(row, begin + x) : 0.0f;
    right[y][x] = begin + y < k && column < n ? b.at(begin + y, column) : 0.0f;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kTile; ++i) sum = fmaf(left[y][i], right[i][x], sum);
    __syncthreads();
  }
  if (row >= m || column >= n) return;
  if (bias != nullptr) sum += to_float(bias[column]);
  Out* place = c.row(row) + column;
  *place = from_float<Out>(adds ? to_float(*place) + sum : sum);
}

template <class T>
Operand<T> operand(const TensorView& matrix, Transpose transpose) {
  const std::int64_t stride = matrix.stride(0);
  return {elements<const T>(matrix), transpose == Transpose::no ? stride : 1, transpose == Transpose::no ? 1 : stride};
}

struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

}  // namespace

void plain_product(cudaStream_t stream, const Product& product) {
  const unsigned row_blocks = blocks_for(product.m(), kTile);
  FERULA_CHECK(row_blocks <= 65535, "a plain product of {} rows", product.m());
  const dim3 grid(blocks_for(product.n(), kTile), row_blocks), block(kTile, kTile);
  with_type(product.a.dtype, [&](auto type) {
    with_type(product.c.dtype, [&](auto out_type) {
      using T = decltype(type);
      using Out = decltype(out_type);
      launch_kernel({stream, grid, block}, "plain_product", plain_product_kernel<T, Out>,
                    operand<T>(product.a, product.a_transpose), operand<T>(product.b, product.b_transpose),
                    {elements<Out>(product.c), product.c.stride(0)}, elements<const Out>(product.bias), product.m(),
                    product.n(), product.k(), product.adds);
    });
  });
}

void add_bias(cudaStream_t stream, TensorView y, TensorView bias) {
  if (y.count() == 0) return;
  TensorView every_row(bias.data, bias.dtype, {y.dim(0), y.dim(1)});
  every_row.strides[0] = 0;
  with_type(y.dtype, [&](auto y_type) {
    with_type(bias.dtype, [&](auto bias_type) {
      using Y = decltype(y_type);
      using B = decltype(bias_type);
      pointwise(stream, "add_bias", Sum{}, Typed<Y>{y}, Typed<const Y>{y}, Typed<const B>{every_row});
    });
  });
}

}  // namespace ferula::cuda
