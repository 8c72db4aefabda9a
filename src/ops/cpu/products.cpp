// Chooses how a product is done: plain or packed weights, bf16 as it is or widened to f32 in blocks.
#include "ops/cpu/products.hpp"

#include "ops/cpu/column_sums.hpp"
#include "ops/cpu/elementwise.hpp"
#include "ops/cpu/product_views.hpp"
#include "ops/cpu/tiled_matmul.hpp"

namespace ferula::cpu {
namespace {

constexpr std::int64_t kFewRows = 8;                   // up to here, widening a weight costs more than emulating bf16
constexpr std::int64_t kFewRowsPacked = 2;             // up to here, reading a weight of twice the bytes does
constexpr std::int64_t kFewRowsOfTiles = 32;           // below, copying the right factor costs more than it saves
constexpr std::int64_t kSmallestPackedWeight = 65536;  // below, a product is dominated by its call

}  // namespace

Bf16Products best_bf16_products() { return has_bf16_instructions() ? Bf16Products::native : Bf16Products::through_f32; }

F32Products best_f32_products() { return has_vectors_for_tiles() ? F32Products::tiled : F32Products::library; }

Products::Products(Device& device, Workspace& workspace, Bf16Products bf16_products, F32Products f32_products)
    : device_(&device),
      workspace_(&workspace),
      matmul_(device),
      bf16_products_(bf16_products),
      f32_products_(f32_products) {}

void Products::linear(TensorView x, const WeightView& w, TensorView bias, TensorView y, Accumulate accumulate) {
  FERULA_CHECK(w.scales.empty(), "the CPU backend multiplies f32 and bf16, not quantised weights");
  auto* prepared = static_cast<PackedWeight*>(w.prepared);
  PackedFactor* packed = prepared == nullptr ? nullptr : &prepared->forward;
  multiply(x, {transposed(w.values), packed, w.version}, bias, y, accumulate);
}

void Products::linear_backward_input(TensorView dy, const WeightView& w, TensorView dx, Accumulate accumulate) {
  FERULA_CHECK(w.scales.empty(), "the CPU backend multiplies f32 and bf16, not quantised weights");
  auto* prepared = static_cast<PackedWeight*>(w.prepared);
  PackedFactor* packed = prepared == nullptr || !prepared->backward ? nullptr : &*prepared->backward;
  multiply(dy, {w.values, packed, w.version}, {}, dx, accumulate);
}

void Products::linear_backward_weight(TensorView x, TensorView dy, TensorView dw, Accumulate accumulate,
                                      TensorView dbias) {
  FERULA_CHECK(x.dim(0) == dy.dim(0), "{} rows of x and {} of dy", x.dim(0), dy.dim(0));
  if (x.dim(0) == 0) {
    if (!dw.empty() && accumulate == Accumulate::overwrite) fill(dw, 0);
    return;
  }
  if (!dbias.empty()) add_column_sums(dy, dbias);
  if (dw.empty()) return;
  if (goes_through_f32(x.dtype, x.dim(0), nullptr)) return outer_through_f32(x, dy, dw, accumulate);
  if (!dy.contiguous() || !takes_sums(dw)) return matmul_.multiply(transposed(dy), x, {}, dw, accumulate);
  outer(x, dy, dw, accumulate);
}

std::unique_ptr<PreparedWeight> Products::make_prepared(std::int64_t out, std::int64_t in, DType dtype) {
  const bool computes = dtype == DType::f32 || dtype == DType::bf16;
  if (!computes || out * in < kSmallestPackedWeight) return nullptr;
  const bool widen = dtype == DType::bf16 && bf16_products_ == Bf16Products::through_f32;
  const DType packed_type = widen ? DType::f32 : dtype;
  auto prepared = std::make_unique<PackedWeight>();
  prepared->forward =
      make_packed_factor(*device_, matmul_, in, out, packed_type, widen ? wide_block_columns(in, out) : out);
  if (dtype == DType::bf16)  // f32 rows are within 4 % of packed ones, which packing costs
    prepared->backward =
        make_packed_factor(*device_, matmul_, out, in, packed_type, widen ? wide_block_columns(out, in) : in);
  return prepared;
}

bool Products::goes_through_f32(DType dtype, std::int64_t rows, const PackedFactor* packed) const {
  if (dtype != DType::bf16 || bf16_products_ == Bf16Products::native) return false;
  return rows > (packed == nullptr ? kFewRows : kFewRowsPacked) || !supports_bf16_factors();
}

bool Products::goes_in_tiles(std::int64_t rows, const TensorView& b) const {
  return f32_products_ == F32Products::tiled && b.dtype == DType::f32 && b.stride(1) == 1 && b.dim(1) > 1 &&
         rows >= kFewRowsOfTiles;
}

std::int64_t Products::outer_pack_bytes(std::int64_t rows, std::int64_t in, DType dtype) {
  return scratch_bytes(DType::u8, matmul_.packed_bytes(rows, in, dtype));
}

/// dw (+)= dyᵀ · x with x packed: its rows as they lie cost up to two thirds of the speed of f32 when they are long,
/// and up to a tenth of that of bf16.
void Products::outer(TensorView x, TensorView dy, TensorView dw, Accumulate accumulate) {
  const std::int64_t pack_bytes = outer_pack_bytes(x.dim(0), x.dim(1), x.dtype);
  Workspace::Lease scratch = workspace_->lease(pack_bytes);
  const PackedMatrix right{
      .k = x.dim(0), .n = x.dim(1), .dtype = x.dtype, .memory = scratch.take(DType::u8, {pack_bytes})};
  matmul_.pack(x, right);
  matmul_.multiply(transposed(dy), right, {}, dw, accumulate);
}

void Products::multiply(TensorView a, const Factor& b, TensorView bias, TensorView c, Accumulate accumulate) {
  if (a.dim(0) == 0) return;
  if (goes_through_f32(a.dtype, a.dim(0), b.packed)) return multiply_through_f32(a, b, bias, c, accumulate);
  if (bias.empty() && b.packed == nullptr && a.dtype == DType::f32 && goes_in_tiles(a.dim(0), b.values))
    return tiled_multiply(*workspace_, a, b.values, c, accumulate == Accumulate::add);
  const bool usable = b.packed != nullptr && b.packed->blocks.front().dtype == a.dtype;
  if (!usable || !a.contiguous() || !c.contiguous())  // oneDNN multiplies packed factors slowly where rows have gaps
    return matmul_.multiply(a, b.values, bias, c, accumulate);
  refresh(*b.packed, matmul_, b.values, b.version);
  matmul_.multiply(a, b.packed->blocks.front(), bias, c, accumulate);
}

}  // namespace ferula::cpu
