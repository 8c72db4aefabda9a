// The three products of a linear layer as calls of Matmul.
#include "ops/cuda/products.hpp"

#include "ops/cuda/activation.hpp"
#include "ops/cuda/column_sums.hpp"
#include "ops/cuda/elementwise.hpp"
#include "ops/cuda/launch.hpp"

namespace ferula::cuda {

void linear(Matmul& matmul, cudaStream_t stream, TensorView x, TensorView w, TensorView bias, TensorView y,
            Accumulate accumulate) {
  check_compute_type(x, w);
  if (x.dim(0) == 0) return;
  matmul.run(stream, {.a = as_matrix(x),
                      .b = as_matrix(w),
                      .b_transpose = Transpose::yes,
                      .c = as_matrix(y),
                      .bias = bias,
                      .adds = accumulate == Accumulate::add});
}

void linear_backward_input(Matmul& matmul, cudaStream_t stream, TensorView dy, TensorView w, TensorView dx,
                           Accumulate accumulate) {
  check_compute_type(dy, w, dx);
  if (dy.dim(0) == 0) return;
  matmul.run(stream,
             {.a = as_matrix(dy), .b = as_matrix(w), .c = as_matrix(dx), .adds = accumulate == Accumulate::add});
}

void linear_gelu(Matmul& matmul, cudaStream_t stream, TensorView x, TensorView w, TensorView bias, TensorView hidden,
                 TensorView y) {
  check_compute_type(x, w, hidden, y);
  if (x.dim(0) == 0) return;
  const Product joined{.a = as_matrix(x),
                       .b = as_matrix(w),
                       .b_transpose = Transpose::yes,
                       .c = as_matrix(y),
                       .bias = bias,
                       .epilogue = Epilogue::gelu,
                       .hidden = as_matrix(hidden)};
  if (matmul.knows(joined)) return matmul.run(stream, joined);
  linear(matmul, stream, x, w, bias, hidden, Accumulate::overwrite);
  gelu(stream, hidden, y);
}

void linear_gelu_backward(Matmul& matmul, cudaStream_t stream, TensorView dy, TensorView w, TensorView hidden,
                          TensorView dhidden) {
  check_compute_type(dy, w, hidden, dhidden);
  if (dy.dim(0) == 0) return;
  const Product joined{.a = as_matrix(dy),
                       .b = as_matrix(w),
                       .c = as_matrix(dhidden),
                       .epilogue = Epilogue::gelu_backward,
                       .hidden = as_matrix(hidden)};
  // The library's derivative is an approximation that bf16 hides and f32 does not.
  if (dy.dtype == DType::bf16 && matmul.knows(joined)) return matmul.run(stream, joined);
  linear_backward_input(matmul, stream, dy, w, dhidden, Accumulate::overwrite);
  gelu_backward(stream, hidden, dhidden, dhidden);
}

void linear_backward_weight(Matmul& matmul, Workspace& workspace, int multiprocessors, cudaStream_t stream,
                            TensorView x, TensorView dy, TensorView dw, Accumulate accumulate, TensorView dbias) {
  check_compute_type(x, dy);
  const bool adds = accumulate == Accumulate::add;
  if (x.dim(0) == 0) {
    if (!dw.empty() && !adds) fill(stream, dw, 0);
    return;
  }
  const TensorView upstream = as_matrix(dy);
  if (!dw.empty())
    matmul.run(stream,
               {.a = upstream, .b = as_matrix(x), .a_transpose = Transpose::yes, .c = as_matrix(dw), .adds = adds});
  if (!dbias.empty()) column_sums(workspace, multiprocessors, stream, upstream, dbias);
}

}  // namespace ferula::cuda
