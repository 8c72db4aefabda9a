// Cuts a flat range into boxes: the end of a first row, whole rows, the begin of a last row; then each row the same
// way.
#include "storage/hyperslabs.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.hpp"

namespace ferula {
namespace {

std::int64_t product(std::span<const std::int64_t> numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), std::int64_t{1}, std::multiplies<>());
}

/// Appends the boxes of [begin, end) of the tensor that `prefix` has selected one element of each leading dimension of.
void append(std::span<const std::int64_t> shape, std::vector<std::int64_t>& prefix, std::int64_t begin,
            std::int64_t end, std::vector<Hyperslab>& slabs) {
  const std::int64_t row = product(shape.subspan(1));
  const std::int64_t first_whole = (begin + row - 1) / row;
  const std::int64_t last_whole = end / row;
  const auto descend = [&](std::int64_t index, std::int64_t from, std::int64_t to) {
    prefix.push_back(index);
    append(shape.subspan(1), prefix, from, to, slabs);
    prefix.pop_back();
  };
  if (begin / row == (end - 1) / row && end - begin < row)
    return descend(begin / row, begin % row, (end - 1) % row + 1);
  if (begin < first_whole * row) descend(begin / row, begin % row, row);
  if (first_whole < last_whole) {
    Hyperslab slab{.start = prefix, .extent = std::vector<std::int64_t>(prefix.size(), 1)};
    slab.start.push_back(first_whole);
    slab.extent.push_back(last_whole - first_whole);
    slab.start.resize(prefix.size() + shape.size(), 0);
    slab.extent.insert(slab.extent.end(), shape.begin() + 1, shape.end());
    slabs.push_back(std::move(slab));
  }
  if (last_whole * row < end) descend(last_whole, 0, end % row);
}

}  // namespace

std::int64_t Hyperslab::count() const { return product(extent); }

std::vector<Hyperslab> hyperslabs_of(std::span<const std::int64_t> shape, std::int64_t offset, std::int64_t count) {
  FERULA_CHECK(offset >= 0 && count >= 0 && offset + count <= product(shape), "range [{}, {}) of {} elements", offset,
               offset + count, product(shape));
  std::vector<Hyperslab> slabs;
  std::vector<std::int64_t> prefix;
  if (count > 0 && !shape.empty()) append(shape, prefix, offset, offset + count, slabs);
  return slabs;
}

}  // namespace ferula
