// Element types and the rounding of bf16, bit by bit.
#include "base/dtype.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "base/error.hpp"

namespace ferula {
namespace {

float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

TEST(Bf16, RoundsToNearest) {
  EXPECT_EQ(bf16(from_bits(0x3f807fff)).bits, 0x3f80);  // just below the middle
  EXPECT_EQ(bf16(from_bits(0x3f808001)).bits, 0x3f81);  // just above it
  EXPECT_EQ(bf16(from_bits(0xbf808001)).bits, 0xbf81);
}

TEST(Bf16, RoundsTiesToEven) {
  EXPECT_EQ(bf16(from_bits(0x3f808000)).bits, 0x3f80);
  EXPECT_EQ(bf16(from_bits(0x3f818000)).bits, 0x3f82);
}

TEST(Bf16, CarriesIntoTheExponentAndToInfinity) {
  EXPECT_EQ(bf16(from_bits(0x3fffffff)).bits, 0x4000);
  EXPECT_EQ(bf16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_EQ(bf16(std::numeric_limits<float>::infinity()).bits, 0x7f80);
  EXPECT_EQ(bf16(-std::numeric_limits<float>::infinity()).bits, 0xff80);
}

TEST(Bf16, KeepsZeroSignsAndSubnormals) {
  EXPECT_EQ(bf16(0.0f).bits, 0x0000);
  EXPECT_EQ(bf16(-0.0f).bits, 0x8000);
  EXPECT_EQ(bf16(from_bits(0x00010000)).bits, 0x0001);
}

TEST(Bf16, KeepsANanQuietWhateverItsPayload) {
  for (const std::uint32_t payload : {0x7f800001u, 0x7fffffffu, 0xffc00000u}) {
    const bf16 value(from_bits(payload));
    EXPECT_TRUE(std::isnan(static_cast<float>(value)));
    EXPECT_TRUE(value.bits & 0x40);
  }
}

TEST(Bf16, EveryValueSurvivesTheWayThroughF32) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    bf16 value;
    value.bits = static_cast<std::uint16_t>(bits);
    const auto wide = static_cast<float>(value);
    if (!std::isnan(wide)) ASSERT_EQ(bf16(wide).bits, bits);
  }
}

TEST(DType, KnowsSizesAndNames) {
  EXPECT_EQ(bytes_of(DType::bf16), 2);
  EXPECT_EQ(bytes_of(DType::f64), 8);
  for (const DType dtype :
       {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i8, DType::u8, DType::i32, DType::i64, DType::i4})
    EXPECT_EQ(dtype_named(name_of(dtype)), dtype);
}

TEST(DType, CountsBytesInWholeBlocks) {
  EXPECT_EQ(bytes_of(DType::i4, 6), 3);
  EXPECT_EQ(bytes_of(DType::bf16, 6), 12);
  EXPECT_THROW(bytes_of(DType::i4, 5), Error);
  EXPECT_THROW(bytes_of(DType::i4), Error);
}

TEST(DType, RefusesAnUnknownName) {
  try {
    dtype_named("fp8");
    FAIL() << "accepted";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("found 'fp8'"), std::string::npos);
  }
}

}  // namespace
}  // namespace ferula
