// One collective of small operands: each rank gives its operand along with what it announces.
#pragma once

#include "comm/group_channel.hpp"

namespace ferula {

/// After a single meeting all ranks read what all others gave. MPI libraries call this the eager protocol.
class EagerExchange {
 public:
  static bool suits(const TensorView& operand) { return operand.bytes() <= kEagerBytes; }

  /// Gives `operand`, meets the other ranks and checks that all mean the same call.
  EagerExchange(GroupChannel& channel, const CollectiveCall& call, const TensorView& operand);

  /// What `rank` gave; it stays until this rank's next collective.
  TensorView at(int rank) const;

 private:
  GroupChannel& channel_;
  TensorView operand_;
};

}  // namespace ferula
