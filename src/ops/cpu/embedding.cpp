// Table look-ups by rows, and their gradients by stripes of columns, so that no two threads meet.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/embedding.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include "ops/cpu/embedding.hpp"
#include "ops/cpu/parallel.hpp"
#include "ops/cpu/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

template <class T>
void embed_row(TensorView token_row, TensorView position_row, TensorView y) {
  const T* value = row_of<T>(token_row, 0);
  const T* shift = position_row.empty() ? nullptr : row_of<T>(position_row, 0);
  T* out = row_of<T>(y, 0);
  sweep(y.dim(1), [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
    const Floats sum = load(value + at, lanes);
    store(shift == nullptr ? sum : hn::Add(sum, load(shift + at, lanes)), out + at, lanes);
  });
}

/// table[index[r]] += dy[r] for all rows in their order; dy and table are a stripe of the columns.
template <class T>
void scatter_stripe(std::span<const std::int32_t> index, TensorView dy, TensorView table) {
  for (std::size_t row = 0; row < index.size(); ++row) {
    const T* upstream = row_of<T>(dy, static_cast<std::int64_t>(row));
    float* sum = row_of<float>(table, index[row]);
    sweep(dy.dim(1), [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
      store(hn::Add(load(sum + at, lanes), load(upstream + at, lanes)), sum + at, lanes);
    });
  }
}

void embed_piece(TensorView token_row, TensorView position_row, TensorView y) {
  y.dtype == DType::bf16 ? embed_row<bf16>(token_row, position_row, y) : embed_row<float>(token_row, position_row, y);
}

void scatter_piece(std::span<const std::int32_t> index, TensorView dy, TensorView table) {
  dy.dtype == DType::bf16 ? scatter_stripe<bf16>(index, dy, table) : scatter_stripe<float>(index, dy, table);
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(embed_piece);
HWY_EXPORT(scatter_piece);

constexpr std::int64_t kStripeColumns = 128;

void check_indices(std::span<const std::int32_t> indices, std::int64_t rows) {
  for (const std::int32_t index : indices)
    FERULA_CHECK(index >= 0 && index < rows, "row {} of a table of {} rows", index, rows);
}

/// table[index[r]] += dy[r]; each thread owns stripes of columns.
void scatter_add(TensorView index, TensorView dy, TensorView table) {
  if (table.empty()) return;
  const std::span<const std::int32_t> rows = index.span<std::int32_t>();
  check_indices(rows, table.dim(0));
  FERULA_CHECK(table.dtype == DType::f32, "gradients are f32, found {}", name_of(table.dtype));
  parallel_ranges(dy.dim(1), kStripeColumns, [&](std::int64_t begin, std::int64_t columns) {
    HWY_DYNAMIC_DISPATCH(scatter_piece)(rows, dy.columns(begin, columns), table.columns(begin, columns));
  });
}

}  // namespace

void embed(TensorView token, TensorView position, TensorView table, TensorView positions, TensorView y) {
  check_compute_type(table, y);
  const std::span<const std::int32_t> tokens = token.span<std::int32_t>();
  std::span<const std::int32_t> places;
  check_indices(tokens, table.dim(0));
  if (!positions.empty()) {
    places = position.span<std::int32_t>();
    check_indices(places, positions.dim(0));
  }
  parallel_ranges(y.dim(0), rows_per_piece(y.dim(1)), [&](std::int64_t begin, std::int64_t rows) {
    for (std::int64_t row = begin; row < begin + rows; ++row) {
      const auto at = static_cast<std::size_t>(row);
      const TensorView shift = positions.empty() ? positions : positions.rows(places[at], 1);
      HWY_DYNAMIC_DISPATCH(embed_piece)(table.rows(tokens[at], 1), shift, y.rows(row, 1));
    }
  });
}

void embed_backward(TensorView token, TensorView position, TensorView dy, TensorView dtable, TensorView dpositions) {
  check_compute_type(dy);
  scatter_add(token, dy, dtable);
  scatter_add(position, dy, dpositions);
}

void gather_rows(TensorView x, TensorView row, TensorView y) {
  FERULA_CHECK(x.dtype == y.dtype, "cannot gather {} into {}", name_of(x.dtype), name_of(y.dtype));
  const std::span<const std::int32_t> rows = row.span<std::int32_t>();
  check_indices(rows, x.dim(0));
  if (rows.empty()) return;
  const TensorView from = as_matrix(x);
  const TensorView to = as_matrix(y);
  const auto row_bytes = static_cast<std::size_t>(from.dim(1) * bytes_of(from.dtype));
  parallel_ranges(to.dim(0), rows_per_piece(to.dim(1)), [&](std::int64_t begin, std::int64_t length) {
    for (std::int64_t at = begin; at < begin + length; ++at)
      std::memcpy(row_bytes_of(to, at), row_bytes_of(from, rows[static_cast<std::size_t>(at)]), row_bytes);
  });
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
