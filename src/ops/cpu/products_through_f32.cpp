// Products of bf16 on processors that cannot multiply it: factors are widened to f32 block by block, each block while
// it is in the cache, and a result is rounded once.
#include <algorithm>

#include "base/narrow.hpp"
#include "ops/cpu/elementwise.hpp"
#include "ops/cpu/product_views.hpp"
#include "ops/cpu/products.hpp"

namespace ferula::cpu {
namespace {

constexpr std::int64_t kMostRows = 1024;   // of a widened block: packing is then below 2 % of a product
constexpr std::int64_t kMostDepth = 4096;  // of a product in one piece: rows of a deeper one leave the cache

/// Elements of a widened block: with what it is packed by way of 4 MiB, about an L2 cache of two cores.
std::int64_t block_elements() { return supports_bf16_factors() ? 1 << 20 : 1 << 19; }

/// Rows of one widened block whose rows have `width` elements.
std::int64_t wide_block_rows(std::int64_t rows, std::int64_t width) {
  return std::min(rows, std::clamp<std::int64_t>(4 * block_elements() / width, 128, kMostRows));
}

/// `to` = `from` rounded (+ `to` when adding, before the rounding). `from` is used up.
void round_into(TensorView from, TensorView to, Accumulate accumulate) {
  if (accumulate == Accumulate::add) add(from, to);
  copy(from, to);
}

/// Elements of memory by way of which `count` bf16 ones are packed as f32. Without AVX-512 the library converts in
/// plain loops while it packs, which takes longer than the product.
std::int64_t widened_count(std::int64_t count) { return supports_bf16_factors() ? 0 : count; }

}  // namespace

std::int64_t wide_block_columns(std::int64_t k, std::int64_t n) {
  return std::min(n, std::clamp<std::int64_t>(round_up(block_elements() / k, 64), 64, 4096));
}

bool Products::is_deep(std::int64_t k) { return k > kMostDepth; }

Products::Blocks Products::wide_blocks(std::int64_t rows, std::int64_t k, std::int64_t n, const PackedFactor* packed) {
  Blocks blocks{.rows = wide_block_rows(rows, k)};
  blocks.width = packed != nullptr ? packed->block_columns : wide_block_columns(k, n);
  blocks.pack_bytes = packed != nullptr ? 0 : matmul_.packed_bytes(k, blocks.width, DType::f32);
  blocks.widened = packed != nullptr ? 0 : widened_count(k * blocks.width);
  blocks.bytes = scratch_bytes(DType::f32, blocks.rows * k) + scratch_bytes(DType::f32, blocks.rows * blocks.width) +
                 scratch_bytes(DType::f32, n) + scratch_bytes(DType::u8, blocks.pack_bytes) +
                 scratch_bytes(DType::f32, blocks.widened);
  return blocks;
}

Products::Blocks Products::deep_blocks(std::int64_t rows, std::int64_t n) {
  Blocks blocks{.rows = std::min(rows, kMostRows), .width = wide_block_columns(n, kMostDepth)};
  blocks.pack_bytes = matmul_.packed_bytes(blocks.width, n, DType::f32);
  blocks.widened = widened_count(blocks.width * n);
  blocks.bytes = scratch_bytes(DType::f32, blocks.rows * blocks.width) + scratch_bytes(DType::f32, blocks.rows * n) +
                 scratch_bytes(DType::f32, n) + scratch_bytes(DType::u8, blocks.pack_bytes) +
                 scratch_bytes(DType::f32, blocks.widened);
  return blocks;
}

Products::Blocks Products::outer_blocks(std::int64_t rows, std::int64_t in, std::int64_t out) {
  Blocks blocks{.rows = wide_block_rows(rows, in)};
  blocks.width = wide_block_columns(blocks.rows, out);
  blocks.pack_bytes = matmul_.packed_bytes(blocks.rows, in, DType::f32);
  blocks.widened = widened_count(blocks.rows * in);
  blocks.bytes = scratch_bytes(DType::u8, blocks.pack_bytes) + scratch_bytes(DType::f32, blocks.rows * blocks.width) +
                 scratch_bytes(DType::f32, blocks.widened);
  return blocks;
}

void Products::pack_widened(TensorView from, const PackedMatrix& to, TensorView wide) {
  if (wide.count() == 0) return matmul_.pack(from, to);
  const bool columns_lie_together = from.stride(0) == 1 && from.stride(1) != 1;
  const TensorView lines = columns_lie_together ? transposed(from) : from;
  const TensorView widened = wide.range(0, lines.count()).reshaped({lines.dim(0), lines.dim(1)});
  copy(lines, widened);
  matmul_.pack(columns_lie_together ? transposed(widened) : widened, to);
}

void Products::multiply_through_f32(TensorView a, const Factor& b, TensorView bias, TensorView c,
                                    Accumulate accumulate) {
  const std::int64_t k = b.values.dim(0), n = b.values.dim(1);
  if (b.packed == nullptr && is_deep(k)) return multiply_deep_through_f32(a, b.values, bias, c, accumulate);
  if (b.packed != nullptr) refresh(*b.packed, matmul_, b.values, b.version);
  const auto [step, width, pack_bytes, widened, bytes] = wide_blocks(a.dim(0), k, n, b.packed);
  Workspace::Lease scratch = workspace_->lease(bytes);
  const TensorView wide_a = scratch.take(DType::f32, {step, k});
  const TensorView wide_c = scratch.take(DType::f32, {step * width});
  const TensorView wide_bias = bias.empty() ? bias : scratch.take(DType::f32, {n});
  const TensorView pack_memory = scratch.take(DType::u8, {pack_bytes});
  const TensorView wide_b = scratch.take(DType::f32, {widened});
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
        pack_widened(b.values.columns(column, columns), right, wide_b);
      const TensorView bias_part = bias.empty() ? bias : wide_bias.columns(column, columns);
      const TensorView target = c.rows(row, rows).columns(column, columns);
      const bool direct = takes_sums(target);
      const TensorView sums = direct ? target : wide_c.range(0, rows * columns).reshaped({rows, columns});
      matmul_.multiply(left, right, bias_part, sums, direct ? accumulate : Accumulate::overwrite);
      if (!direct) round_into(sums, target, accumulate);
    }
  }
}

void Products::multiply_deep_through_f32(TensorView a, TensorView b, TensorView bias, TensorView c,
                                         Accumulate accumulate) {
  const std::int64_t k = b.dim(0), n = b.dim(1);
  const auto [step, depth, pack_bytes, widened, bytes] = deep_blocks(a.dim(0), n);
  Workspace::Lease scratch = workspace_->lease(bytes);
  const TensorView wide_a = scratch.take(DType::f32, {step * depth});
  const TensorView wide_c = scratch.take(DType::f32, {step, n});
  const TensorView wide_bias = bias.empty() ? bias : scratch.take(DType::f32, {n});
  const TensorView pack_memory = scratch.take(DType::u8, {pack_bytes});
  const TensorView wide_b = scratch.take(DType::f32, {widened});
  if (!bias.empty()) copy(bias, wide_bias);
  for (std::int64_t row = 0; row < a.dim(0); row += step) {
    const std::int64_t rows = std::min(step, a.dim(0) - row);
    const TensorView target = c.rows(row, rows);
    for (std::int64_t begin = 0; begin < k; begin += depth) {
      const std::int64_t length = std::min(depth, k - begin);
      const TensorView left = wide_a.range(0, rows * length).reshaped({rows, length});
      copy(a.rows(row, rows).columns(begin, length), left);
      const PackedMatrix right{.k = length, .n = n, .dtype = DType::f32, .memory = pack_memory};
      pack_widened(b.rows(begin, length), right, wide_b);
      const bool first = begin == 0;
      matmul_.multiply(left, right, first ? wide_bias : TensorView{}, wide_c.rows(0, rows),
                       first ? Accumulate::overwrite : Accumulate::add);
    }
    round_into(wide_c.rows(0, rows), target, accumulate);
  }
}

void Products::outer_through_f32(TensorView x, TensorView dy, TensorView dw, Accumulate accumulate) {
  const std::int64_t in = x.dim(1), out = dy.dim(1);
  const auto [step, width, pack_bytes, widened, bytes] = outer_blocks(x.dim(0), in, out);
  Workspace::Lease scratch = workspace_->lease(bytes);
  const TensorView pack_memory = scratch.take(DType::u8, {pack_bytes});
  const TensorView wide_b = scratch.take(DType::f32, {widened});
  const TensorView wide_dy = scratch.take(DType::f32, {step * width});
  for (std::int64_t row = 0; row < x.dim(0); row += step) {
    const std::int64_t rows = std::min(step, x.dim(0) - row);
    const PackedMatrix right{.k = rows, .n = in, .dtype = DType::f32, .memory = pack_memory};
    pack_widened(x.rows(row, rows), right, wide_b);
    for (std::int64_t column = 0; column < out; column += width) {
      const std::int64_t columns = std::min(width, out - column);
      const TensorView upstream = wide_dy.range(0, rows * columns).reshaped({rows, columns});
      copy(dy.rows(row, rows).columns(column, columns), upstream);
      matmul_.multiply(transposed(upstream), right, {}, dw.rows(column, columns), accumulate);
    }
    accumulate = Accumulate::add;
  }
}

}  // namespace ferula::cpu
