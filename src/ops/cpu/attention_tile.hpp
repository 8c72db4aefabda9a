// The pieces that CPU attention is cut into: tiles of queries against blocks of keys, in f32 scratch.
#pragma once

#include <cstdint>
#include <span>

#include "base/narrow.hpp"
#include "device/tensor_view.hpp"

namespace ferula::cpu {

/// Query rows of a tile: many, because its keys and values are loaded once for all of them.
inline constexpr std::int64_t kQueryTile = 128;
/// Keys of a block that every query of the tile sees.
inline constexpr std::int64_t kKeyBlock = 64;
/// Keys of a block on the diagonal: smaller, because half of what lies there is masked.
inline constexpr std::int64_t kDiagonalBlock = 32;
/// Columns of a tile are padded with zeros to a multiple of this: no kernel has a remainder.
inline constexpr std::int64_t kWidthStep = 16;
/// Rows of the left matrix of a product are padded to a multiple of this.
inline constexpr std::int64_t kRowStep = 8;

inline std::int64_t padded_width(std::int64_t head_dim) { return round_up(head_dim, kWidthStep); }

/// A row-major matrix of f32 in scratch memory.
struct Panel {
  float* data = nullptr;
  std::int64_t stride = 0;

  float* row(std::int64_t index) const { return data + index * stride; }
  Panel at(std::int64_t row_index, std::int64_t column) const { return {row(row_index) + column, stride}; }
};

/// Cuts panels and vectors out of one thread's scratch, in order.
class PanelStack {
 public:
  explicit PanelStack(std::span<float> memory) : memory_(memory) {}

  Panel take(std::int64_t rows, std::int64_t columns) {
    const auto count = static_cast<std::size_t>(rows * columns);
    FERULA_CHECK(count <= memory_.size(), "{} floats of scratch are left, {} x {} asked for", memory_.size(), rows,
                 columns);
    const Panel panel{memory_.data(), columns};
    memory_ = memory_.subspan(count);
    return panel;
  }

 private:
  std::span<float> memory_;
};

/// Keys [begin, begin + count) against the columns [first_column, kQueryTile) of a query tile.
struct KeyBlock {
  std::int64_t begin = 0;
  std::int64_t count = 0;
  std::int64_t first_column = 0;  // queries before it see no key of the block
  bool masked = false;            // some of its keys lie in the future of some of its queries
};

/// The block that begins at key `begin` for the tile whose first query is row `first_query` of the same sequence.
inline KeyBlock key_block(std::int64_t begin, std::int64_t first_query) {
  if (begin < first_query) return {begin, kKeyBlock, 0, false};
  return {begin, kDiagonalBlock, begin - first_query, true};
}

/// Columns of a query tile with `queries` rows, padded to whole diagonal blocks.
inline std::int64_t padded_queries(std::int64_t queries) { return round_up(queries, kDiagonalBlock); }

/// Rows [begin, begin + count) of one head of a view [rows, heads, head_dim], as [count, head_dim].
inline TensorView head_rows(const TensorView& view, std::int64_t head, std::int64_t begin, std::int64_t count) {
  TensorView rows(nullptr, view.dtype, {count, view.dim(2)});
  rows.data = view.data + (begin * view.stride(0) + head * view.stride(1)) * bytes_of(view.dtype);
  rows.strides[0] = view.stride(0);
  return rows;
}

/// Heads [first, first + count) of a view [rows, heads, head_dim].
inline TensorView head_group(const TensorView& view, std::int64_t first, std::int64_t count) {
  TensorView heads = view;
  heads.data += first * view.stride(1) * bytes_of(view.dtype);
  heads.dims[1] = count;
  return heads;
}

}  // namespace ferula::cpu
