// How the CPU operations are cut into pieces of work for OpenMP. The cut depends on shapes only, never on the number of
// threads.
#pragma once

#include <algorithm>
#include <array>

#include "base/narrow.hpp"
#include "ops/operands.hpp"

namespace ferula::cpu {

/// Elements of one piece: small enough for the L1 or L2 cache, large enough to pay for a thread.
inline constexpr std::int64_t kPieceElements = 16384;

/// Calls task(i) for each i of [0, count) on the OpenMP threads of the caller. Tasks must not throw.
template <class Task>
void parallel_for(std::int64_t count, const Task& task) {
#pragma omp parallel for schedule(static) if (count > 1)
  for (std::int64_t index = 0; index < count; ++index) task(index);
}

/// Calls task(begin, length) for consecutive ranges of [0, count), each but the last of `step` elements.
template <class Task>
void parallel_ranges(std::int64_t count, std::int64_t step, const Task& task) {
  parallel_for(ceil_div(count, step), [&](std::int64_t index) {
    const std::int64_t begin = index * step;
    task(begin, std::min(step, count - begin));
  });
}

/// Rows of a piece whose rows have `width` elements.
inline std::int64_t rows_per_piece(std::int64_t width) { return std::max<std::int64_t>(1, kPieceElements / width); }

/// The first byte of row `row` of a view [rows, width].
inline std::byte* row_bytes_of(const TensorView& view, std::int64_t row) {
  return view.data + row * view.stride(0) * bytes_of(view.dtype);
}

/// Calls task(pieces) for matching pieces of views of one shape; a piece is [rows, width] with contiguous rows.
template <std::size_t kViews, class Task>
void parallel_pieces(const std::array<TensorView, kViews>& views, const Task& task) {
  if (views[0].count() == 0) return;
  const std::array<TensorView, kViews> matrices = as_matrices(views);
  const std::int64_t rows = matrices[0].dim(0), width = matrices[0].dim(1);
  const bool flat = rows == 1;
  const std::int64_t length = flat ? width : rows;
  const std::int64_t step = flat ? kPieceElements : rows_per_piece(width);
  parallel_ranges(length, step, [&](std::int64_t begin, std::int64_t size) {
    std::array<TensorView, kViews> pieces;
    for (std::size_t index = 0; index < kViews; ++index)
      pieces[index] = flat ? matrices[index].columns(begin, size) : matrices[index].rows(begin, size);
    task(pieces);
  });
}

}  // namespace ferula::cpu
