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

inline FourWords rows_of_lane(const std::uint32_t (&address)[emulated::kLanes], int lane) {
  FourWords result;
  for (int matrix = 0; matrix < 4; ++matrix)
    std::memcpy(&result.words[matrix], matrix_row(address, matrix, lane / 4) + lane % 4 * 4, 4);
  return result;
}

inline FourWords columns_of_lane(const std::uint32_t (&address)[emulated::kLanes], int lane) {
  FourWords result;
  for (int matrix = 0; matrix < 4; ++matrix) {
    std::uint16_t pair[2];
    for (int each = 0; each < 2; ++each)
      std::memcpy(&pair[each], matrix_row(address, matrix, lane % 4 * 2 + each) + lane / 4 * 2, 2);
    std::memcpy(&result.words[matrix], pair, 4);
  }
  return result;
}

inline void load_matrices(std::uint32_t address, Fragment& to) {
  const auto found = emulated::together<FourWords, std::uint32_t, rows_of_lane>(emulated::kEveryLane, address);
  std::memcpy(to, found.words, sizeof to);
}
inline void load_matrices_transposed(std::uint32_t address, Fragment& to) {
  const auto found = emulated::together<FourWords, std::uint32_t, columns_of_lane>(emulated::kEveryLane, address);
  std::memcpy(to, found.words, sizeof to);
}

struct ProductPart {
  std::uint32_t a[4], b[2];
  float sums[4];
};
struct Sums {
  float values[4];
};

/// Element `k` % 2 of the register that holds elements k and k + 1.
inline float bf16_of(std::uint32_t word, int k) {
  const std::uint32_t bits = k % 2 == 0 ? word << 16 : word & 0xffff0000u;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// The four sums of a lane: rows g and g + 8, columns 2 t and 2 t + 1, for lane 4 g + t.
inline Sums sums_of_lane(const ProductPart (&parts)[emulated::kLanes], int lane) {
  Sums result;
  for (int index = 0; index < 4; ++index) {
    const int row = lane / 4, high = index / 2, column = lane % 4 * 2 + index % 2;
    float sum = 0.0f;
    for (int k = 0; k < 16; ++k) {
      const int t = k % 8 / 2, second = k / 8;
      sum += bf16_of(parts[4 * row + t].a[high + 2 * second], k) * bf16_of(parts[4 * column + t].b[second], k);
    }
    result.values[index] = parts[lane].sums[index] + sum;
  }
  return result;
}

inline void multiply_add(float (&sums)[4], const Fragment& a, std::uint32_t b0, std::uint32_t b1) {
  const ProductPart mine{{a[0], a[1], a[2], a[3]}, {b0, b1}, {sums[0], sums[1], sums[2], sums[3]}};
  const Sums found = emulated::together<Sums, ProductPart, sums_of_lane>(emulated::kEveryLane, mine);
  std::memcpy(sums, found.values, sizeof sums);
}

inline float power_of_two(float x) { return std::exp2(x); }

}  // namespace ferula::cuda
