// The order of work in streams, and where an exception of a task comes out.
#include "device/stream.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "device/device.hpp"

namespace ferula {
namespace {

class Streams : public testing::Test {
 protected:
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_ = make_cpu_device(ledger_);
  std::unique_ptr<Stream> inline_ = device_->make_stream();
  std::unique_ptr<Stream> side_ = device_->make_side_stream("test");
};

TEST_F(Streams, RunTasksInTheirOrder) {
  for (Stream* stream : {inline_.get(), side_.get()}) {
    std::vector<int> order;
    for (int task = 0; task < 100; ++task) stream->run([&order, task] { order.push_back(task); });
    stream->synchronize();

    ASSERT_EQ(order.size(), 100u);
    for (int task = 0; task < 100; ++task) EXPECT_EQ(order[static_cast<std::size_t>(task)], task);
  }
}

TEST_F(Streams, AWaitOrdersTwoStreams) {
  int value = 0;
  for (int round = 0; round < 200; ++round) {
    side_->run([&value] { ++value; });
    inline_->wait(side_->record());
    inline_->run([&value, round] { EXPECT_EQ(value, round + 1); });
    side_->wait(inline_->record());
  }
  side_->synchronize();

  EXPECT_EQ(value, 200);
}

TEST_F(Streams, SynchronizeWaitsForItsTicketOnly) {
  int done = 0;
  side_->run([&done] { ++done; });
  const Event event = side_->record();

  side_->synchronize(event.ticket);

  EXPECT_EQ(done, 1);
  side_->synchronize();
}

TEST_F(Streams, AnExceptionReachesTheNextCallAndDropsLaterTasks) {
  bool ran = false;
  side_->run([] { throw std::runtime_error("lost"); });
  EXPECT_THROW(side_->synchronize(), std::runtime_error);

  EXPECT_THROW(
      {
        side_->run([&ran] { ran = true; });
        side_->synchronize();
      },
      std::runtime_error);
  EXPECT_FALSE(ran);
}

TEST_F(Streams, AnInlineExceptionReachesTheCaller) {
  EXPECT_THROW(inline_->run([] { throw std::runtime_error("here"); }), std::runtime_error);
}

TEST_F(Streams, ADefaultEventHasHappened) {
  inline_->wait(Event{});
  side_->wait(Event{});
  side_->synchronize();
}

}  // namespace
}  // namespace ferula
