// The left factor is broadcast element by element, the right one lies in panels as wide as a tile that stay in the L1
// cache. Method: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/tiled_matmul.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include <omp.h>

#include "hwy/cache_control.h"
#include "ops/cpu/parallel.hpp"
#include "ops/cpu/simd-inl.hpp"
#include "ops/cpu/tiled_blocks.hpp"
#include "ops/cpu/tiled_matmul.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

constexpr std::int64_t kTileColumns = kTileVectors * kLanes;

/// One tile of the result, and where its factors lie.
struct Tile {
  std::int64_t rows, columns, depth;
  const float* left;
  std::int64_t left_row, left_step;
  const float* panel;  // [depth, vectors · lanes]
  float* c;
  std::int64_t c_stride;
  bool add;
};

HWY_INLINE std::int64_t panel_width(std::int64_t columns) {
  return columns < kTileColumns ? round_up(columns, kLanes) : kTileColumns;
}

/// Panels [depth, width] of `right` [depth, columns], one behind the other; absent columns of the last are 0.
void pack_panels(const float* right, std::int64_t stride, std::int64_t depth, std::int64_t columns, float* panels) {
  for (std::int64_t p = 0; p < depth; ++p)  // along the rows, as the processor prefetches
    for (std::int64_t column = 0; column < columns; column += kTileColumns) {
      const std::int64_t count = std::min(kTileColumns, columns - column);
      const float* source = right + p * stride + column;
      float* target = panels + column * depth + p * panel_width(count);
      sweep(count, [&](std::int64_t at, std::int64_t lanes)
                       HWY_ATTR { hn::StoreU(load(source + at, lanes), kFloat, target + at); });
    }
}

/// The last rows of a block as a tile [depth, kTileRows], in which absent rows are 0.
void pack_last_rows(const TiledProduct& product, const float* left, std::int64_t rows, std::int64_t depth,
                    float* tile) {
  for (std::int64_t p = 0; p < depth; ++p)
    for (std::int64_t row = 0; row < kTileRows; ++row)
      tile[p * kTileRows + row] = row < rows ? left[row * product.left_stride + p] : 0.0f;
}

template <int kVectors>
HWY_INLINE void sum_tile(const Tile& tile, Floats (&sums)[kTileRows][kVectors]) {
#pragma GCC unroll 4
  for (auto& row : sums)
#pragma GCC unroll 3
    for (Floats& sum : row) sum = hn::Zero(kFloat);
  const float* left = tile.left;
  const float* panel = tile.panel;
  for (std::int64_t p = 0; p < tile.depth; ++p) {
    Floats right[kVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) right[v] = hn::LoadU(kFloat, panel + v * kLanes);
#pragma GCC unroll 4
    for (int row = 0; row < kTileRows; ++row) {
      const Floats factor = hn::Set(kFloat, left[row * tile.left_row]);
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) sums[row][v] = hn::MulAdd(factor, right[v], sums[row][v]);
    }
    left += tile.left_step;
    panel += kVectors * kLanes;
  }
}

template <int kVectors>
HWY_INLINE void run_tile(const Tile& tile) {
  for (std::int64_t row = 0; row < tile.rows; ++row) {  // in time for the stores
    hwy::Prefetch(tile.c + row * tile.c_stride);
    hwy::Prefetch(tile.c + row * tile.c_stride + tile.columns - 1);
  }
  Floats sums[kTileRows][kVectors];
  sum_tile<kVectors>(tile, sums);
#pragma GCC unroll 4
  for (int row = 0; row < kTileRows; ++row) {
    if (row >= tile.rows) return;
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      float* to = tile.c + row * tile.c_stride + v * kLanes;
      const std::int64_t lanes = std::min(kLanes, tile.columns - v * kLanes);
      store(tile.add ? hn::Add(load(to, lanes), sums[row][v]) : sums[row][v], to, lanes);
    }
  }
}

/// A block of rows from `row` on and steps from `step` on, against all packed panels.
struct Block {
  std::int64_t row, rows, column, columns, step, depth;
};

void multiply_block(const TiledProduct& product, const Block& block, const float* panels, float* last_rows) {
  const float* left = product.left + block.row * product.left_stride + block.step;
  const std::int64_t direct_rows = block.rows / kTileRows * kTileRows;
  if (direct_rows < block.rows)
    pack_last_rows(product, left + direct_rows * product.left_stride, block.rows - direct_rows, block.depth, last_rows);
  for (std::int64_t column = 0; column < block.columns; column += kTileColumns)
    for (std::int64_t row = 0; row < block.rows; row += kTileRows) {
      const bool direct = row < direct_rows;
      const Tile tile{.rows = std::min<std::int64_t>(kTileRows, block.rows - row),
                      .columns = std::min(kTileColumns, block.columns - column),
                      .depth = block.depth,
                      .left = direct ? left + row * product.left_stride : last_rows,
                      .left_row = direct ? product.left_stride : 1,
                      .left_step = direct ? 1 : kTileRows,
                      .panel = panels + column * block.depth,
                      .c = product.c + (block.row + row) * product.c_stride + block.column + column,
                      .c_stride = product.c_stride,
                      .add = product.add || block.step > 0};
      switch (ceil_div(tile.columns, kLanes)) {
        case 3:
          run_tile<3>(tile);
          break;
        case 2:
          run_tile<2>(tile);
          break;
        default:
          run_tile<1>(tile);
      }
    }
}

void multiply_tiles(const TiledProduct& product, std::span<float> scratch) {
  const std::int64_t step = depth_step(product.depth);
  float* const last_rows = scratch.data();
  float* const panels = last_rows + kTileRows * step;
  for (Block block{}; block.column < product.columns; block.column += kBlockColumns) {
    block.columns = std::min(kBlockColumns, product.columns - block.column);
    for (block.step = 0; block.step < product.depth; block.step += step) {
      block.depth = std::min(step, product.depth - block.step);
      pack_panels(product.right + block.step * product.right_stride + block.column, product.right_stride, block.depth,
                  block.columns, panels);
      for (block.row = 0; block.row < product.rows; block.row += kBlockRows) {
        block.rows = std::min(kBlockRows, product.rows - block.row);
        multiply_block(product, block, panels, last_rows);
      }
    }
  }
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(multiply_tiles);

/// Floats of scratch of one thread.
std::int64_t thread_floats(std::int64_t k, std::int64_t n) {
  return round_up(depth_step(k) * (kTileRows + std::min(kBlockColumns, round_up(n, kMostTileColumns))), 16);
}

/// What one of `parts` threads does: some rows where they are more than the columns, else some columns.
TiledProduct part_of(TiledProduct product, std::int64_t part, std::int64_t parts) {
  const bool by_rows = product.rows >= product.columns;
  const std::int64_t unit = by_rows ? kTileRows : kMostTileColumns;
  const std::int64_t count = by_rows ? product.rows : product.columns;
  const std::int64_t units = ceil_div(count, unit);
  const std::int64_t begin = std::min(count, units * part / parts * unit);
  const std::int64_t length = std::min(count, units * (part + 1) / parts * unit) - begin;
  if (by_rows) {
    product.left += begin * product.left_stride;
    product.c += begin * product.c_stride;
    product.rows = length;
  } else {
    product.right += begin;
    product.c += begin;
    product.columns = length;
  }
  return product;
}

}  // namespace

void tiled_multiply(Workspace& workspace, TensorView a, TensorView b, TensorView c, bool add) {
  FERULA_CHECK(a.stride(1) == 1 && b.stride(1) == 1 && c.stride(1) == 1, "rows with strides of {}, {} and {}",
               a.stride(1), b.stride(1), c.stride(1));
  const TiledProduct product{.rows = c.dim(0),
                             .columns = c.dim(1),
                             .depth = a.dim(1),
                             .left = a.as<float>(),
                             .left_stride = a.stride(0),
                             .right = b.as<float>(),
                             .right_stride = b.stride(0),
                             .c = c.as<float>(),
                             .c_stride = c.stride(0),
                             .add = add};
  const auto threads = static_cast<std::int64_t>(omp_get_max_threads());
  Workspace::Lease lease = workspace.lease(tiled_scratch_bytes(product.depth, product.columns));
  const TensorView scratch = lease.take(DType::f32, {threads, thread_floats(product.depth, product.columns)});
  parallel_for(threads, [&](std::int64_t part) {
    HWY_DYNAMIC_DISPATCH(multiply_tiles)(part_of(product, part, threads), scratch.rows(part, 1).span<float>());
  });
}

std::int64_t tiled_scratch_bytes(std::int64_t k, std::int64_t n) {
  return scratch_bytes(DType::f32, omp_get_max_threads() * thread_floats(k, n));
}

bool has_vectors_for_tiles() {
  const std::int64_t targets = hwy::SupportedTargets();
  return (targets & HWY_AVX2) != 0 && (targets & (HWY_AVX3 | HWY_AVX3_DL)) == 0;
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
