// Which tensors share a flat range, and how ranges are cut.
#include "params/flat_layout.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace ferula {
namespace {

UnitSpec unit_of(std::vector<ParamSpec> params) { return {"unit", std::move(params)}; }

TEST(FlatLayout, KeepsTableOrderWithoutGaps) {
  const UnitSpec unit =
      unit_of({{.name = "a", .shape = {7, 3}}, {.name = "b", .shape = {5}}, {.name = "c", .shape = {2, 2}}});

  const std::vector<FlatRange> ranges = make_flat_ranges(unit, 3, 0);

  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_EQ(ranges[0].count, 30);
  EXPECT_EQ(ranges[0].tensors[1].begin, 21);
  EXPECT_EQ(ranges[0].tensors[2].begin, 26);
}

TEST(FlatLayout, PadsSoThatAllPartsAreEqualAndAligned) {
  for (const int parts : {1, 2, 3, 4, 7}) {
    const std::vector<FlatRange> ranges = make_flat_ranges(unit_of({{.name = "a", .shape = {1001}}}), parts, 0);

    EXPECT_GE(ranges[0].padded, 1001);
    EXPECT_EQ(ranges[0].padded % (parts * kRangeAlignment), 0);
    EXPECT_LT(ranges[0].padded - 1001, parts * kRangeAlignment);
  }
}

TEST(FlatLayout, SeparatesFrozenFromTrainedAndEachStorageType) {
  const UnitSpec unit = unit_of({{.name = "a", .shape = {4}},
                                 {.name = "b", .shape = {4}, .trainable = false},
                                 {.name = "c", .shape = {4}, .storage = DType::bf16},
                                 {.name = "d", .shape = {4}}});

  const std::vector<FlatRange> ranges = make_flat_ranges(unit, 2, 0);

  ASSERT_EQ(ranges.size(), 3u);
  EXPECT_EQ(ranges[0].tensors.size(), 2u);
  EXPECT_FALSE(ranges[1].trainable);
  EXPECT_EQ(ranges[2].storage, DType::bf16);
}

TEST(FlatLayout, JoinedTensorsShareARangeWhateverTheirSize) {
  const UnitSpec unit = unit_of({{.name = "query", .shape = {64, 8}},
                                 {.name = "key", .shape = {8, 8}, .placing = Placing::joined_to_previous},
                                 {.name = "bias", .shape = {8}}});

  const std::vector<FlatRange> ranges = make_flat_ranges(unit, 2, 100);

  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].residence, Residence::partitioned);
  EXPECT_EQ(ranges[0].tensors.size(), 2u);
  EXPECT_EQ(ranges[1].residence, Residence::persistent);
}

TEST(FlatLayout, RefusesATensorThatIsJoinedToNothing) {
  const UnitSpec unit = unit_of({{.name = "key", .shape = {8}, .placing = Placing::joined_to_previous}});

  EXPECT_THROW(make_flat_ranges(unit, 1, 0), Error);
}

TEST(Extent, PartsTileTheRange) {
  std::int64_t next = 0;
  for (int index = 0; index < 5; ++index) {
    const Extent part = part_of(5 * 64, index, 5);
    EXPECT_EQ(part.begin, next);
    next = part.end;
  }
  EXPECT_EQ(next, 320);
}

TEST(Extent, DisjointOnesIntersectInNothing) {
  EXPECT_EQ(intersect({0, 5}, {7, 9}).count(), 0);
  EXPECT_EQ(intersect({0, 8}, {7, 9}), (Extent{7, 8}));
}

}  // namespace
}  // namespace ferula
