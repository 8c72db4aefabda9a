// How the CPU operations are cut into pieces of work for OpenMP. The cut depends on shapes only, never on the number of
// threads.
#pragma once

#include <algorithm>
#include <array>

#include "base/narrow.hpp"
#include "device/tensor_view.hpp"

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

/// The view as [rows, width]: the first dimension against all others, which must lie next to each other.
TensorView as_matrix(TensorView view);

/// The first byte of row `row` of a view [rows, width].
inline std::byte* row_bytes_of(const TensorView& view, std::int64_t row) {
  return view.data + row * view.stride(0) * bytes_of(view.dtype);
}

/// Checks that the views share one compute type, f32 or bf16.
template <class... Views>
void check_compute_type(const TensorView& first, const Views&... others) {
  FERULA_CHECK(first.dtype == DType::f32 || first.dtype == DType::bf16, "no arithmetic on {}", name_of(first.dtype));
  FERULA_CHECK(((others.dtype == first.dtype) && ...), "one type expected, the first view holds {}",
               name_of(first.dtype));
}

/// Calls task(pieces) for matching pieces of views of one shape; a piece is [rows, width] with contiguous rows.
template <std::size_t kViews, class Task>
void parallel_pieces(std::array<TensorView, kViews> views, const Task& task) {
  if (views[0].count() == 0) return;
  for (const TensorView& view : views)
    FERULA_CHECK(view.count() == views[0].count(), "views of {} and {} elements", view.count(), views[0].count());
  const bool flat = std::all_of(views.begin(), views.end(), [](const TensorView& view) { return view.contiguous(); });
  const std::int64_t count = views[0].count();
  for (TensorView& view : views) view = flat ? view.reshaped({1, count}) : as_matrix(view);
  const std::int64_t length = flat ? count : views[0].dim(0);
  const std::int64_t step = flat ? kPieceElements : rows_per_piece(views[0].dim(1));
  parallel_ranges(length, step, [&](std::int64_t begin, std::int64_t size) {
    std::array<TensorView, kViews> pieces;
    for (std::size_t index = 0; index < kViews; ++index)
      pieces[index] = flat ? views[index].columns(begin, size) : views[index].rows(begin, size);
    task(pieces);
  });
}

}  // namespace ferula::cpu
