// Sends and receives as values, and how a communicator gathers those between group_begin and group_end.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "comm/communicator.hpp"

namespace ferula {

/// A send or receive of one view.
struct Message {
  enum class Direction : std::uint8_t { send, receive };
  Direction direction = Direction::send;
  int peer = 0;
  TensorView data;
};

/// "send" or "receive", as the first of the messages is: what errors call their exchange.
std::string_view operation_of(std::span<const Message> messages);

/// Gives the messages to `communicator` as one group.
void give_all(Communicator& communicator, Stream& stream, std::span<const Message> messages);

/// Hands messages over to its communicator: those of a group together when it ends, others one by one.
class MessageGroup {
 public:
  /// Takes at least one message. Called within `give` or `end`.
  using Exchange = std::function<void(Stream& stream, std::vector<Message> messages)>;

  explicit MessageGroup(Exchange exchange) : exchange_(std::move(exchange)) {}
  MessageGroup(const MessageGroup&) = delete;
  MessageGroup& operator=(const MessageGroup&) = delete;

  /// Groups do not nest.
  void begin();
  /// All messages of one group are given with the same stream.
  void give(Stream& stream, const Message& message);
  void end();

 private:
  Exchange exchange_;
  bool open_ = false;
  Stream* stream_ = nullptr;  // of the open group's messages; null before the first
  std::vector<Message> messages_;
};

}  // namespace ferula
