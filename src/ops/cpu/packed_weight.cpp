// Takes the memory of packed weights and fills it when a version is new.
#include "ops/cpu/packed_weight.hpp"

#include <algorithm>

#include "base/narrow.hpp"

namespace ferula::cpu {

PackedFactor make_packed_factor(Device& device, Matmul& matmul, std::int64_t k, std::int64_t n, DType packed_type,
                                std::int64_t block_columns) {
  constexpr std::int64_t kAlignment = 64;
  PackedFactor factor;
  factor.block_columns = block_columns;
  std::int64_t total = 0;
  for (std::int64_t begin = 0; begin < n; begin += block_columns)
    total += round_up(matmul.packed_bytes(k, std::min(block_columns, n - begin), packed_type), kAlignment);
  factor.memory = device.allocate(total, MemoryKind::buffers);
  TensorView rest = factor.memory.flat(DType::u8);
  for (std::int64_t begin = 0; begin < n; begin += block_columns) {
    const std::int64_t columns = std::min(block_columns, n - begin);
    const std::int64_t bytes = round_up(matmul.packed_bytes(k, columns, packed_type), kAlignment);
    factor.blocks.push_back({.k = k, .n = columns, .dtype = packed_type, .memory = rest.range(0, bytes)});
    rest = rest.range(bytes, rest.count() - bytes);
  }
  return factor;
}

void refresh(PackedFactor& factor, Matmul& matmul, TensorView from, std::uint64_t version) {
  if (factor.version == version) return;
  std::int64_t begin = 0;
  for (const PackedMatrix& block : factor.blocks) {
    matmul.pack(from.columns(begin, block.n), block);
    begin += block.n;
  }
  FERULA_CHECK(begin == from.dim(1), "a packed weight of {} columns for {}", begin, from.dim(1));
  factor.version = version;
}

}  // namespace ferula::cpu
