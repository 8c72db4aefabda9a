#include "comm/message_group.hpp"

#include <utility>

namespace ferula {

std::string_view operation_of(std::span<const Message> messages) {
  return messages.front().direction == Message::Direction::send ? "send" : "receive";
}

void give_all(Communicator& communicator, Stream& stream, std::span<const Message> messages) {
  communicator.group_begin();
  for (const Message& message : messages) {
    if (message.direction == Message::Direction::send) {
      communicator.send(stream, message.data, message.peer);
    } else {
      communicator.receive(stream, message.data, message.peer);
    }
  }
  communicator.group_end();
}

void MessageGroup::begin() {
  FERULA_CHECK(!open_, "groups of messages do not nest");
  open_ = true;
  stream_ = nullptr;
}

void MessageGroup::give(Stream& stream, const Message& message) {
  if (!open_) return exchange_(stream, {message});
  FERULA_CHECK(stream_ == nullptr || stream_ == &stream, "one group of messages uses one stream");
  stream_ = &stream;
  messages_.push_back(message);
}

void MessageGroup::end() {
  FERULA_CHECK(open_, "group_end without group_begin");
  open_ = false;
  if (!messages_.empty()) exchange_(*stream_, std::exchange(messages_, {}));
}

}  // namespace ferula
