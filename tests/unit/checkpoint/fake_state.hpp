// A small model's state in memory, cut over ranks in any way; every element is a function of its name and place, so
// that whatever comes back from a checkpoint can be compared bit for bit.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "params/parameter_store.hpp"

namespace ferula {

struct FakeTensor {
  std::string name;
  Shape shape;
};

/// Which share of the flat state each rank has: share r of the sum of all.
using Cut = std::vector<double>;

/// Odd shapes, one tensor of several hash blocks, one of a single element.
const std::vector<FakeTensor>& fake_tensors();
/// value (bf16), master and exp_avg (f32).
const std::vector<StateRole>& fake_roles();

/// The pieces of one rank with their memory.
class FakeState {
 public:
  /// All tensors behind each other in one range, which `cut` divides: cuts fall into the middle of rows.
  FakeState(const Cut& cut, int rank);

  const std::vector<OwnedPiece>& pieces() const { return pieces_; }
  /// Every element becomes what it should be at `step`.
  void fill(std::int64_t step);
  void clear();
  /// Pieces that differ from `fill(step)`.
  std::int64_t differences(std::int64_t step) const;
  bool is_clear() const;

 private:
  std::deque<std::vector<std::byte>> memory_;
  std::vector<OwnedPiece> pieces_;
};

}  // namespace ferula
