// How messages are gathered for a communicator: when they are handed over, and what is refused.
#include "comm/message_group.hpp"

#include <gtest/gtest.h>

#include "device/cpu_stream.hpp"

namespace ferula {
namespace {

Message to(int peer) { return {.direction = Message::Direction::send, .peer = peer}; }

/// The peers of the messages of each exchange.
struct Exchanges {
  std::vector<std::vector<int>> peers;
  MessageGroup group{[this](Stream&, const std::vector<Message>& messages) {
    std::vector<int>& these = peers.emplace_back();
    for (const Message& message : messages) these.push_back(message.peer);
  }};
};

TEST(MessageGroup, HandsOverTogetherWhatIsGivenBeforeItsEnd) {
  InlineStream stream;
  Exchanges exchanges;

  exchanges.group.give(stream, to(1));
  exchanges.group.give(stream, to(2));
  exchanges.group.begin();
  exchanges.group.give(stream, to(3));
  exchanges.group.give(stream, to(4));
  EXPECT_EQ(exchanges.peers.size(), 2u);
  exchanges.group.end();

  EXPECT_EQ(exchanges.peers, (std::vector<std::vector<int>>{{1}, {2}, {3, 4}}));
}

TEST(MessageGroup, AnEmptyOneExchangesNothing) {
  Exchanges exchanges;
  exchanges.group.begin();
  exchanges.group.end();

  EXPECT_TRUE(exchanges.peers.empty());
}

TEST(MessageGroup, RefusesNestingAndASecondStream) {
  InlineStream stream, other;
  Exchanges exchanges;
  EXPECT_ANY_THROW(exchanges.group.end());
  exchanges.group.begin();
  exchanges.group.give(stream, to(1));

  EXPECT_ANY_THROW(exchanges.group.begin());
  EXPECT_ANY_THROW(exchanges.group.give(other, to(2)));
}

}  // namespace
}  // namespace ferula
