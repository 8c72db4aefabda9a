// How the tensors of a unit lie in flat ranges, and which part of a range a rank holds.
#pragma once

#include <cstdint>
#include <vector>

#include "params/param_spec.hpp"

namespace ferula {

/// One tensor's place in a flat range, in elements.
struct FlatTensor {
  std::size_t param = 0;  // index in UnitSpec::params
  std::int64_t begin = 0;
  std::int64_t count = 0;
};

/// Whether a range stays whole on each rank because its tensors are small (DeepSpeed's persistence threshold).
enum class Residence : std::uint8_t { partitioned, persistent };

/// Tensors of one unit that share (trainable, dtype, residence), without gaps; padded so that every rank's part is
/// equally long and a multiple of kRangeAlignment elements.
struct FlatRange {
  DType storage = DType::f32;
  bool trainable = true;
  Residence residence = Residence::partitioned;
  std::vector<FlatTensor> tensors;
  std::int64_t count = 0;   // elements of the tensors
  std::int64_t padded = 0;  // count rounded up to parts · kRangeAlignment
};

/// Multiple of every vector width and of the quantisation block.
inline constexpr std::int64_t kRangeAlignment = 64;

/// The flat ranges of one unit for partitions into `parts`. Tensors keep their order; joined tensors stay together.
/// A tensor (with its joined followers) of at most `persistence_threshold` elements is persistent.
std::vector<FlatRange> make_flat_ranges(const UnitSpec& unit, int parts, std::int64_t persistence_threshold);

/// Elements [begin, end) of a flat range.
struct Extent {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t count() const { return end - begin; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

Extent intersect(Extent a, Extent b);
/// Part `index` of `parts` equal ones.
Extent part_of(std::int64_t padded, int index, int parts);

}  // namespace ferula
