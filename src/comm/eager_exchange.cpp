#include "comm/eager_exchange.hpp"

#include <algorithm>

namespace ferula {

EagerExchange::EagerExchange(GroupChannel& channel, const CollectiveCall& call, const TensorView& operand)
    : channel_(channel), operation_(name_of(call.kind)) {
  Announcement& mine = channel_.next_announcement();
  mine.call = call;
  std::copy_n(operand.data, operand.bytes(), mine.data.begin());
  channel_.announce(operation_, operand.bytes());
}

std::byte* EagerExchange::await(int rank) const {
  channel_.await_announcement(rank, operation_);
  channel_.check_call_of(rank);
  return channel_.announcement(rank).data.data();
}

}  // namespace ferula
