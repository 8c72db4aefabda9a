// Stands in for the header of this name where kernels run on the processor.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/dtype.hpp"
#include "grid.hpp"

namespace ferula::cuda {

using Fragment = std::uint32_t[4];

template <class T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(emulated::shared_memory());
}
inline std::uint32_t shared_address(const void* pointer) { return emulated::shared_offset(pointer); }

template <int kBytes>
void copy_async(std::uint32_t to, const void* from, bool inside) {
  emulated::copy_later(to, inside ? from : nullptr, kBytes);
}
inline void copy_async(std::uint32_t to, const void* from) { emulated::copy_later(to, from, 16); }
inline void wait_for_copies() { emulated::make_copies(); }
template <class Words>
void store_whole(Words* to, Words value) {
  emulated::require_aligned(to, sizeof value);
  *to = value;
}
inline void prefetch_sector(const void*) {}

inline float2 load_pair(std::uint32_t address) {
  float2 pair;
  std::memcpy(&pair, emulated::shared_at(address, sizeof pair), sizeof pair);
  return pair;
}

struct FourWords {
  std::uint32_t words[4];
};

/// Row `row` of the matrix whose rows lanes [8 matrix, 8 matrix + 8) name.
inline const std::byte* matrix_row(const std::uint32_t (&address)[emulated::kLanes], int matrix, int row) {
  return emulated::shared_at(address[8 * matrix + row], 16);
}

/// Lane 4 r + c takes elements 2 c and 2 c + 1 of row r of each matrix.
inline void take_rows(const std::uint32_t (&address)[emulated::kLanes], FourWords (&taken)[emulated::kLanes]) {
  for (int lane = 0; lane < emulated::kLanes; ++lane)
    for (int matrix = 0; matrix < 4; ++matrix)
      std::memcpy(&taken[lane].words[matrix], matrix_row(address, matrix, lane / 4) + lane % 4 * 4, 4);
}

/// Lane 4 c + r takes elements c of rows 2 r and 2 r + 1.
inline void take_columns(const std::uint32_t (&address)[emulated::kLanes], FourWords (&taken)[emulated::kLanes]) {
  for (int lane = 0; lane < emulated::kLanes; ++lane)
    for (int matrix = 0; matrix < 4; ++matrix) {
      std::uint16_t pair[2];
      for (int each = 0; each < 2; ++each)
        std::memcpy(&pair[each], matrix_row(address, matrix, lane % 4 * 2 + each) + lane / 4 * 2, 2);
      std::memcpy(&taken[lane].words[matrix], pair, 4);
    }
}

inline void load_matrices(std::uint32_t address, Fragment& to) {
  const auto found = emulated::together<FourWords, std::uint32_t, take_rows>(emulated::kEveryLane, address);
  std::memcpy(to, found.words, sizeof to);
}
inline void load_matrices_transposed(std::uint32_t address, Fragment& to) {
  const auto found = emulated::together<FourWords, std::uint32_t, take_columns>(emulated::kEveryLane, address);
  std::memcpy(to, found.words, sizeof to);
}

/// A lane's registers of both operands and of the sums.
struct ProductPart {
  std::uint32_t a[4], b[2];
  float sums[4];
};
struct Sums {
  float values[4];
};

inline void unpack(std::uint32_t word, float& low, float& high) {
  const std::uint32_t bits[2] = {word << 16, word & 0xffff0000u};
  std::memcpy(&low, &bits[0], sizeof low);
  std::memcpy(&high, &bits[1], sizeof high);
}

/// Lane 4 g + t holds of a [16, 16] rows g and g + 8 and columns 2 t and 2 t + 8, each with its neighbour, of b [16, 8]
/// rows 2 t and 2 t + 8 with their neighbours and column g, of the sums [16, 8] rows g and g + 8, columns 2 t and
/// 2 t + 1.
inline void multiply(const ProductPart (&parts)[emulated::kLanes], Sums (&taken)[emulated::kLanes]) {
  float a[16][16], b[16][8], c[16][8] = {};
  for (int lane = 0; lane < emulated::kLanes; ++lane) {
    const int g = lane / 4, column = lane % 4 * 2;
    for (int each = 0; each < 4; ++each) {
      float* pair = &a[g + each % 2 * 8][column + each / 2 * 8];
      unpack(parts[lane].a[each], pair[0], pair[1]);
    }
    for (int each = 0; each < 2; ++each)
      unpack(parts[lane].b[each], b[column + each * 8][g], b[column + each * 8 + 1][g]);
  }
  for (int row = 0; row < 16; ++row)
    for (int k = 0; k < 16; ++k)
      for (int column = 0; column < 8; ++column) c[row][column] += a[row][k] * b[k][column];
  for (int lane = 0; lane < emulated::kLanes; ++lane)
    for (int each = 0; each < 4; ++each)
      taken[lane].values[each] = parts[lane].sums[each] + c[lane / 4 + each / 2 * 8][lane % 4 * 2 + each % 2];
}

inline void multiply_add(float (&sums)[4], const Fragment& a, std::uint32_t b0, std::uint32_t b1) {
  const ProductPart mine{{a[0], a[1], a[2], a[3]}, {b0, b1}, {sums[0], sums[1], sums[2], sums[3]}};
  const Sums found = emulated::together<Sums, ProductPart, multiply>(emulated::kEveryLane, mine);
  std::memcpy(sums, found.values, sizeof sums);
}

inline float power_of_two(float x) { return std::exp2(x); }

}  // namespace ferula::cuda
