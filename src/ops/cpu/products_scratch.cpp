// What products take beside their operands: the cuts and ways of products.cpp and products_through_f32.cpp, without
// work.
#include <algorithm>

#include "ops/cpu/product_views.hpp"
#include "ops/cpu/products.hpp"
#include "ops/cpu/tiled_matmul.hpp"

namespace ferula::cpu {
namespace {

/// A matrix without memory: its type and strides are all that counts.
TensorView matrix(DType dtype, std::int64_t rows, std::int64_t columns) { return {nullptr, dtype, {rows, columns}}; }

PackedMatrix packed(std::int64_t k, std::int64_t n, DType dtype = DType::f32) {
  return {.k = k, .n = n, .dtype = dtype, .memory = {}};
}

}  // namespace

ScratchBytes Products::scratch(const LinearShape& shape) {
  if (shape.rows == 0) return {};
  const TensorView weight = matrix(shape.compute, shape.out, shape.in);
  ScratchBytes most = multiply_scratch(shape.rows, transposed(weight), shape.bias, shape.result);
  most.cover(multiply_scratch(shape.rows, weight, {}, shape.compute));
  most.cover(outer_scratch(shape));
  return most;
}

/// Of [rows, k] · b (+ bias) into `result`.
ScratchBytes Products::multiply_scratch(std::int64_t rows, TensorView b, std::optional<DType> bias, DType result) {
  const std::int64_t k = b.dim(0), n = b.dim(1);
  if (!bias && goes_in_tiles(rows, b)) return {.own = tiled_scratch_bytes(k, n)};
  if (!goes_through_f32(b.dtype, rows, nullptr)) {
    const TensorView a = matrix(b.dtype, rows, k), c = matrix(result, rows, n);
    return {.library = matmul_.scratch_bytes(a, b, bias, c, Accumulate::overwrite)};
  }
  const Blocks blocks = is_deep(k) ? deep_blocks(rows, n) : wide_blocks(rows, k, n, nullptr);
  const std::int64_t depth = is_deep(k) ? blocks.width : k;
  const std::int64_t columns = is_deep(k) ? n : blocks.width;
  const TensorView a = matrix(DType::f32, blocks.rows, depth), c = matrix(DType::f32, blocks.rows, columns);
  if (bias) bias = DType::f32;  // widened like the factors
  return {.own = blocks.bytes,
          .library = matmul_.scratch_bytes(a, packed(depth, columns), bias, c, Accumulate::overwrite)};
}

/// Of dw (+)= dyᵀ · x.
ScratchBytes Products::outer_scratch(const LinearShape& shape) {
  const bool blockwise = goes_through_f32(shape.compute, shape.rows, nullptr);
  const Blocks blocks = blockwise ? outer_blocks(shape.rows, shape.in, shape.out) : Blocks{};
  const std::int64_t rows = blockwise ? blocks.rows : shape.rows;
  const std::int64_t columns = blockwise ? blocks.width : shape.out;
  const DType dtype = blockwise ? DType::f32 : shape.compute;
  const TensorView a = transposed(matrix(dtype, rows, columns)), c = matrix(DType::f32, columns, shape.in);
  const auto library = [&](Accumulate accumulate) {
    return matmul_.scratch_bytes(a, packed(rows, shape.in, dtype), {}, c, accumulate);
  };
  const bool adds = shape.adds_gradients || rows < shape.rows;
  return {.own = blockwise ? blocks.bytes : outer_pack_bytes(shape.rows, shape.in, shape.compute),
          .library = std::max(library(Accumulate::overwrite), adds ? library(Accumulate::add) : 0)};
}

}  // namespace ferula::cpu
