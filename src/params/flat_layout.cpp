#include "params/flat_layout.hpp"

#include <algorithm>
#include <span>

#include "base/error.hpp"
#include "base/narrow.hpp"

namespace ferula {
namespace {

/// A tensor with the followers that are joined to it: they share a range.
struct JoinedBlock {
  std::size_t first = 0;
  std::size_t end = 0;
  std::int64_t count = 0;
};

std::vector<JoinedBlock> joined_blocks(const UnitSpec& unit) {
  std::vector<JoinedBlock> blocks;
  for (std::size_t index = 0; index < unit.params.size(); ++index) {
    const ParamSpec& param = unit.params[index];
    if (param.placing == Placing::separate) {
      blocks.push_back({index, index, 0});
    } else {
      FERULA_CHECK(!blocks.empty(), "the first tensor of {} is joined to nothing", unit.name);
      const ParamSpec& head = unit.params[blocks.back().first];
      FERULA_CHECK(param.trainable == head.trainable && param.storage == head.storage,
                   "{} is joined to {} but differs in dtype or training", param.name, head.name);
    }
    blocks.back().end = index + 1;
    blocks.back().count += param.count();
  }
  return blocks;
}

FlatRange& range_for(std::vector<FlatRange>& ranges, const ParamSpec& param, Residence residence) {
  const auto fits = [&](const FlatRange& range) {
    return range.storage == param.storage && range.trainable == param.trainable && range.residence == residence;
  };
  const auto found = std::find_if(ranges.begin(), ranges.end(), fits);
  if (found != ranges.end()) return *found;
  ranges.push_back({.storage = param.storage, .trainable = param.trainable, .residence = residence, .tensors = {}});
  return ranges.back();
}

}  // namespace

std::vector<FlatRange> make_flat_ranges(const UnitSpec& unit, int parts, std::int64_t persistence_threshold) {
  FERULA_CHECK(parts >= 1, "{} parts", parts);
  std::vector<FlatRange> ranges;
  for (const JoinedBlock& block : joined_blocks(unit)) {
    const Residence residence = block.count <= persistence_threshold ? Residence::persistent : Residence::partitioned;
    FlatRange& range = range_for(ranges, unit.params[block.first], residence);
    for (std::size_t index = block.first; index < block.end; ++index) {
      const std::int64_t count = unit.params[index].count();
      range.tensors.push_back({index, range.count, count});
      range.count += count;
    }
  }
  for (FlatRange& range : ranges) range.padded = round_up(range.count, parts * kRangeAlignment);
  return ranges;
}

Extent intersect(Extent a, Extent b) {
  const std::int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

Extent part_of(std::int64_t padded, int index, int parts) {
  FERULA_CHECK(index >= 0 && index < parts && padded % parts == 0, "part {} of {} of {} elements", index, parts,
               padded);
  const std::int64_t length = padded / parts;
  return {index * length, (index + 1) * length};
}

}  // namespace ferula
