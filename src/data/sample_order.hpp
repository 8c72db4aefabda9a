// The global order of training samples: a keyed permutation for each epoch, computed and never stored.
#pragma once

#include <cstdint>

namespace ferula {

/// Position p of the run's endless stream of samples lies in epoch p / samples; within an epoch every sample comes
/// exactly once, and each epoch has an order of its own. A function of (seed, samples, position) alone, so every layout
/// and every resume sees the same stream. O(1) memory; some tens of Philox blocks a call.
///
/// A balanced Feistel network (Luby, Rackoff 1988) on the smallest even number of bits that holds `samples`, with
/// Philox as round function, and cycle walking (Black, Rogaway 2002) back into the range.
class SampleOrder {
 public:
  /// `samples` is positive.
  SampleOrder(std::uint64_t seed, std::int64_t samples);

  std::int64_t samples() const { return samples_; }
  /// The sample at `global_position` ≥ 0 of the stream.
  std::int64_t index(std::int64_t global_position) const;

 private:
  std::uint64_t permute(std::uint64_t epoch, std::uint64_t value) const;

  std::uint64_t key_;
  std::int64_t samples_;
  int half_bits_;
};

}  // namespace ferula
