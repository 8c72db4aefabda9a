// One collective of small operands: each rank gives its operand along with what it announces.
#pragma once

#include "comm/group_channel.hpp"

namespace ferula {

/// MPI libraries call this the eager protocol: a rank waits for each of the others once.
class EagerExchange {
 public:
  static bool suits(const TensorView& operand) { return operand.bytes() <= kEagerBytes; }

  /// Gives `operand` to the other ranks.
  EagerExchange(GroupChannel& channel, const CollectiveCall& call, const TensorView& operand);

  /// What `rank` gave, once it is there and meant for the same call; it stays until this rank's next collective.
  std::byte* await(int rank) const;

 private:
  GroupChannel& channel_;
  std::string_view operation_;
};

}  // namespace ferula
