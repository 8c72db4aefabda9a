// A weight in the layouts that oneDNN multiplies fastest, for the forward and the backward product.
#pragma once

#include <optional>
#include <vector>

#include "ops/cpu/matmul.hpp"

namespace ferula::cpu {

/// The right factor [k, n] of a product, packed in blocks of columns.
struct PackedFactor {
  std::int64_t block_columns = 0;
  std::vector<PackedMatrix> blocks;
  Buffer memory;
  std::optional<std::uint64_t> version;  // of the weight that was packed last
};

/// Takes the memory of a packed [k, n]; packs nothing yet.
PackedFactor make_packed_factor(Device& device, Matmul& matmul, std::int64_t k, std::int64_t n, DType packed_type,
                                std::int64_t block_columns);
/// Packs the view `from` [k, n] unless that version is packed already.
void refresh(PackedFactor& factor, Matmul& matmul, TensorView from, std::uint64_t version);

class PackedWeight final : public PreparedWeight {
 public:
  PackedFactor forward;                  // Wᵀ [in, out]
  std::optional<PackedFactor> backward;  // W [out, in]; absent where the plain rows are as fast
};

}  // namespace ferula::cpu
