// A product of f32 matrices in tiles that stay in registers, where it is faster than the library's.
#pragma once

#include "ops/cpu/workspace.hpp"

namespace ferula::cpu {

/// One product as its kernel sees it: c[i, j] (+)= Σ left[i, p] · right[p, j], all row-major with row strides.
struct TiledProduct {
  std::int64_t rows = 0, columns = 0, depth = 0;
  const float* left = nullptr;
  std::int64_t left_stride = 0;
  const float* right = nullptr;
  std::int64_t right_stride = 0;
  float* c = nullptr;
  std::int64_t c_stride = 0;
  bool add = false;
};

/// c = a · b (+ c when adding): a [m, k], b [k, n], c [m, n] f32, their rows contiguous. Each sum has one order, which
/// depends on k alone: the same bits for any number of threads, rows and columns.
void tiled_multiply(Workspace& workspace, TensorView a, TensorView b, TensorView c, bool add);

/// What `tiled_multiply` takes of the workspace for a product of n columns with sums of k terms.
std::int64_t tiled_scratch_bytes(std::int64_t k, std::int64_t n);

/// Whether this processor's widest vectors are those of AVX2, for which the tiles are made.
bool has_vectors_for_tiles();

}  // namespace ferula::cpu
