// How a tiled product is cut into tiles that stay in registers and blocks that stay in the caches.
#pragma once

#include "base/narrow.hpp"

namespace ferula::cpu {

// With 4 rows and 3 vectors, the sums, one row of the panel and a factor fill the 16 registers of AVX2.
inline constexpr int kTileRows = 4;
inline constexpr int kTileVectors = 3;
inline constexpr std::int64_t kMostTileColumns = 16 * kTileVectors;  // with the widest vectors

inline constexpr std::int64_t kMostSteps = 384;      // a panel of 24 columns is then read from the L1 and L2 caches
inline constexpr std::int64_t kBlockRows = 192;      // of the left factor: half of an L2 cache of 512 KiB
inline constexpr std::int64_t kBlockColumns = 1536;  // of packed panels, which stay in the L3 cache

/// Steps of one block of a sum of `depth` terms: nearly equal blocks of at most `kMostSteps`.
inline std::int64_t depth_step(std::int64_t depth) {
  return depth == 0 ? 1 : round_up(ceil_div(depth, ceil_div(depth, kMostSteps)), 8);
}

}  // namespace ferula::cpu
