// Flat ranges as boxes, against enumeration.
#include "storage/hyperslabs.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace ferula {
namespace {

/// Flat indices of a box's elements in row-major order.
std::vector<std::int64_t> elements_of(const Hyperslab& slab, const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> flat{0};
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    std::vector<std::int64_t> next;
    for (const std::int64_t base : flat)
      for (std::int64_t index = 0; index < slab.extent[axis]; ++index)
        next.push_back(base * shape[axis] + slab.start[axis] + index);
    flat = next;
  }
  return flat;
}

void expect_every_range_is_covered(const std::vector<std::int64_t>& shape, std::int64_t total) {
  for (std::int64_t begin = 0; begin < total; ++begin)
    for (std::int64_t end = begin + 1; end <= total; ++end) {
      const std::vector<Hyperslab> slabs = hyperslabs_of(shape, begin, end - begin);
      EXPECT_LE(slabs.size(), 2 * shape.size() - 1);
      std::int64_t next = begin;
      for (const Hyperslab& slab : slabs)
        for (const std::int64_t index : elements_of(slab, shape)) ASSERT_EQ(index, next++);
      ASSERT_EQ(next, end);
    }
}

TEST(Hyperslabs, CoverEveryRangeInOrder) {
  expect_every_range_is_covered({9}, 9);
  expect_every_range_is_covered({4, 5}, 20);
  expect_every_range_is_covered({1, 7}, 7);
  expect_every_range_is_covered({7, 1}, 7);
  expect_every_range_is_covered({3, 2, 4}, 24);
  expect_every_range_is_covered({2, 1, 3, 2}, 12);
}

TEST(Hyperslabs, WholeTensorIsOneBox) { EXPECT_EQ(hyperslabs_of(std::vector<std::int64_t>{3, 4}, 0, 12).size(), 1u); }

TEST(Hyperslabs, EmptyRangeHasNone) { EXPECT_TRUE(hyperslabs_of(std::vector<std::int64_t>{3, 4}, 5, 0).empty()); }

}  // namespace
}  // namespace ferula
