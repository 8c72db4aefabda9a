#include "comm/eager_exchange.hpp"

#include <algorithm>

namespace ferula {

EagerExchange::EagerExchange(GroupChannel& channel, const CollectiveCall& call, const TensorView& operand)
    : channel_(channel), operand_(operand) {
  Announcement& mine = channel_.next_announcement();
  mine.call = call;
  std::copy_n(operand.data, operand.bytes(), mine.data.begin());
  channel_.meet(Lane::collectives, name_of(call.kind));
  channel_.check_calls();
}

TensorView EagerExchange::at(int rank) const {
  TensorView view = operand_;
  view.data = channel_.announcement(rank).data.data();
  return view;
}

}  // namespace ferula
