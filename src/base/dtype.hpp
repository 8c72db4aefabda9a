// Element types, and the bf16 number with round-to-nearest-even conversions.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

#include "base/error.hpp"

namespace ferula {

enum class DType : std::uint8_t { f32, f64, bf16, f16, i8, u8, i32, i64, i4 };
/// "f32", "bf16", …: the spelling of messages, checkpoints and configuration.
std::string_view name_of(DType dtype);

/// The elements that share their bytes: one for most types, two in a byte for i4. Memory of a type is whole blocks.
struct DTypeBlock {
  std::int64_t elements = 1;
  std::int64_t bytes = 1;
};
inline DTypeBlock block_of(DType dtype) {
  constexpr std::array<DTypeBlock, 9> kBlocks{
      {{1, 4}, {1, 8}, {1, 2}, {1, 2}, {1, 1}, {1, 1}, {1, 4}, {1, 8}, {2, 1}}};  // in the order of DType
  return kBlocks.at(static_cast<std::size_t>(dtype));
}
/// Bytes of `count` elements, which must be whole blocks.
inline std::int64_t bytes_of(DType dtype, std::int64_t count) {
  const DTypeBlock block = block_of(dtype);
  if (block.elements == 1) return count * block.bytes;
  FERULA_CHECK(count % block.elements == 0, "{} elements of {} are not whole blocks of {}", count, name_of(dtype),
               block.elements);
  return count / block.elements * block.bytes;
}
/// Bytes of one element; of types only whose elements have bytes of their own.
inline std::int64_t bytes_of(DType dtype) { return bytes_of(dtype, 1); }
/// The dtype of that name; throws DataError for another word.
DType dtype_named(std::string_view name);

/// A brain float: the upper half of an IEEE-754 binary32.
struct bf16 {
  std::uint16_t bits = 0;

  bf16() = default;
  /// Rounds to nearest, ties to even; a NaN stays a (quiet) NaN.
  explicit bf16(float value) {
    const auto wide = std::bit_cast<std::uint32_t>(value);
    const bool nan = (wide & 0x7fffffffu) > 0x7f800000u;
    bits = nan ? static_cast<std::uint16_t>((wide >> 16) | 0x40u)
               : static_cast<std::uint16_t>((wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
  friend bool operator==(bf16, bf16) = default;  // bit equality
};
static_assert(sizeof(bf16) == 2);

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<std::int8_t> {
  static constexpr DType value = DType::i8;
};
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<std::int64_t> {
  static constexpr DType value = DType::i64;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace ferula
