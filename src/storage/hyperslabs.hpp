// A contiguous range of a row-major tensor as the few boxes that HDF5 can select.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ferula {

/// A box: `extent[i]` elements from `start[i]` in each dimension.
struct Hyperslab {
  std::vector<std::int64_t> start;
  std::vector<std::int64_t> extent;
  std::int64_t count() const;
};

/// The boxes that hold elements [offset, offset + count) of a row-major tensor, in order. At most three for a matrix,
/// 2 · dimensions − 1 in general; none for an empty range.
std::vector<Hyperslab> hyperslabs_of(std::span<const std::int64_t> shape, std::int64_t offset, std::int64_t count);

}  // namespace ferula
