// Sums over the rows of a matrix: the gradient of a bias.
#pragma once

#include "device/tensor_view.hpp"

namespace ferula::cpu {

/// Columns that one thread sums at a time.
inline constexpr std::int64_t kStripeColumns = 256;

/// sums[c] += Σ over rows of x[row, c], in f32. x [rows, columns] f32 or bf16, sums [columns] f32.
/// Rows are added in their order, by 64 at a time: the same bits for any number of threads.
void add_column_sums(TensorView x, TensorView sums);

}  // namespace ferula::cpu
