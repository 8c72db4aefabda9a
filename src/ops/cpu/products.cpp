// Chooses how a product is done: plain or packed weights, bf16 as it is or widened to f32 in blocks.
#include "ops/cpu/products.hpp"

#include <algorithm>

#include "base/narrow.hpp"
#include "ops/cpu/column_sums.hpp"
#include "ops/cpu/elementwise.hpp"

namespace ferula::cpu {
namespace {

constexpr std::int64_t kBlockElements = 1 << 20;       // of a widened block: 4 MiB, about an L2 cache of two cores
constexpr std::int64_t kMostRows = 1024;               // of a widened block: packing is then below 2 % of a product
constexpr std::int64_t kFewRows = 8;                   // up to here, widening a weight costs more than emulating bf16
constexpr std::int64_t kFewRowsPacked = 2;             // up to here, reading a weight of twice the bytes does
constexpr std::int64_t kSmallestPackedWeight = 65536;  // below, a product is dominated by its call

TensorView transposed(TensorView view) {
  std::swap(view.dims[0], view.dims[1]);
  std::swap(view.strides[0], view.strides[1]);
  return view;
}

/// Columns of one widened block of a factor [k, n].
std::int64_t wide_block_columns(std::int64_t k, std::int64_t n) {
  return std::min(n, std::clamp<std::int64_t>(round_up(kBlockElements / k, 64), 64, 4096));
}

/// Rows of one widened block whose rows have `width` elements.
std::int64_t wide_block_rows(std::int64_t rows, std::int64_t width) {
  return std::min(rows, std::clamp<std::int64_t>(4 * kBlockElements / width, 128, kMostRows));
}

/// Whether oneDNN writes there at full speed: f32 without gaps between rows, which its fast product refuses.
bool takes_sums(const TensorView& view) { return view.dtype == DType::f32 && view.contiguous(); }

/// `to` = `from` rounded (+ `to` when adding, before the rounding). `from` is used up.
void round_into(TensorView from, TensorView to, Accumulate accumulate) {
  if (accumulate == Accumulate::add) add(from, to);
  copy(from, to);
}

}  // namespace

Bf16Products best_bf16_products() { return has_bf16_instructions() ? Bf16Products::native : Bf16Products::through_f32; }

Products::Products(Device& device, Workspace& workspace, Bf16Products bf16_products)
    : device_(&device), workspace_(&workspace), matmul_(device), bf16_products_(bf16_products) {}

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

void Products::linear_backward_weight(TensorView x, TensorView dy, TensorView dw, TensorView dbias) {
  FERULA_CHECK(x.dim(0) == dy.dim(0), "{} rows of x and {} of dy", x.dim(0), dy.dim(0));
  if (x.dim(0) == 0) return;
  if (!dbias.empty()) add_column_sums(dy, dbias);
  if (dw.empty()) return;
  if (goes_through_f32(x, nullptr))
    add_outer_through_f32(x, dy, dw);
  else
    matmul_.multiply(transposed(dy), x, {}, dw, Accumulate::add);
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

bool Products::goes_through_f32(const TensorView& a, const PackedFactor* packed) const {
  if (a.dtype != DType::bf16 || bf16_products_ == Bf16Products::native) return false;
  return a.dim(0) > (packed == nullptr ? kFewRows : kFewRowsPacked) || !supports_bf16_factors();
}

void Products::multiply(TensorView a, const Factor& b, TensorView bias, TensorView c, Accumulate accumulate) {
  if (a.dim(0) == 0) return;
  if (goes_through_f32(a, b.packed)) return multiply_through_f32(a, b, bias, c, accumulate);
  if (b.packed == nullptr || b.packed->blocks.front().dtype != a.dtype)
    return matmul_.multiply(a, b.values, bias, c, accumulate);
  refresh(*b.packed, matmul_, b.values, b.version);
  matmul_.multiply(a, b.packed->blocks.front(), bias, c, accumulate);
}

void Products::multiply_through_f32(TensorView a, const Factor& b, TensorView bias, TensorView c,
                                    Accumulate accumulate) {
  if (b.packed != nullptr) refresh(*b.packed, matmul_, b.values, b.version);
  const std::int64_t k = b.values.dim(0), n = b.values.dim(1);
  const std::int64_t step = wide_block_rows(a.dim(0), k);
  const std::int64_t width = b.packed != nullptr ? b.packed->block_columns : wide_block_columns(k, n);
  const std::int64_t pack_bytes = b.packed != nullptr ? 0 : matmul_.packed_bytes(k, width, DType::f32);
  Workspace::Lease scratch =
      workspace_->lease(scratch_bytes(DType::f32, step * k) + scratch_bytes(DType::f32, step * width) +
                        scratch_bytes(DType::f32, n) + scratch_bytes(DType::u8, pack_bytes));
  const TensorView wide_a = scratch.take(DType::f32, {step, k});
  const TensorView wide_c = scratch.take(DType::f32, {step * width});
  const TensorView wide_bias = bias.empty() ? bias : scratch.take(DType::f32, {n});
  const TensorView pack_memory = scratch.take(DType::u8, {pack_bytes});
  if (!bias.empty()) copy(bias, wide_bias);
  for (std::int64_t row = 0; row < a.dim(0); row += step) {
    const std::int64_t rows = std::min(step, a.dim(0) - row);
    const TensorView left = wide_a.rows(0, rows);
    copy(a.rows(row, rows), left);
    for (std::int64_t column = 0; column < n; column += width) {
      const std::int64_t columns = std::min(width, n - column);
      PackedMatrix right{.k = k, .n = columns, .dtype = DType::f32, .memory = pack_memory};
      if (b.packed != nullptr)
        right = b.packed->blocks[static_cast<std::size_t>(column / width)];
      else
        matmul_.pack(b.values.columns(column, columns), right);
      const TensorView bias_part = bias.empty() ? bias : wide_bias.columns(column, columns);
      const TensorView target = c.rows(row, rows).columns(column, columns);
      const bool direct = takes_sums(target);
      const TensorView sums = direct ? target : wide_c.range(0, rows * columns).reshaped({rows, columns});
      matmul_.multiply(left, right, bias_part, sums, direct ? accumulate : Accumulate::overwrite);
      if (!direct) round_into(sums, target, accumulate);
    }
  }
}

void Products::add_outer_through_f32(TensorView x, TensorView dy, TensorView dw) {
  const std::int64_t in = x.dim(1), out = dy.dim(1);
  const std::int64_t step = wide_block_rows(x.dim(0), in);
  const std::int64_t width = wide_block_columns(step, out);
  Workspace::Lease scratch =
      workspace_->lease(scratch_bytes(DType::f32, step * in) + scratch_bytes(DType::f32, step * width));
  const TensorView wide_x = scratch.take(DType::f32, {step, in});
  const TensorView wide_dy = scratch.take(DType::f32, {step * width});
  for (std::int64_t row = 0; row < x.dim(0); row += step) {
    const std::int64_t rows = std::min(step, x.dim(0) - row);
    copy(x.rows(row, rows), wide_x.rows(0, rows));
    for (std::int64_t column = 0; column < out; column += width) {
      const std::int64_t columns = std::min(width, out - column);
      const TensorView upstream = wide_dy.range(0, rows * columns).reshaped({rows, columns});
      copy(dy.rows(row, rows).columns(column, columns), upstream);
      matmul_.multiply(transposed(upstream), wide_x.rows(0, rows), {}, dw.rows(column, columns), Accumulate::add);
    }
  }
}

}  // namespace ferula::cpu
