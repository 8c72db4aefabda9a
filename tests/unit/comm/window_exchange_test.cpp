// Operands that peers work on directly, and what becomes of them when a rank gives up.
#include "comm/window_exchange.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "comm/aborted_error.hpp"

namespace ferula {
namespace {

/// The memory of two ranks that are threads, in which every operand is its address.
class OpenMemory final : public PeerMemory {
 public:
  RankBlock& block(int rank) override { return blocks_[static_cast<std::size_t>(rank)]; }
  MailSlot& mail(int, int) override { return mail_; }
  std::optional<Operand> publish(const TensorView& view) override {
    return Operand{.offset = reinterpret_cast<std::intptr_t>(view.data)};
  }
  std::byte* resolve(int, const Operand& operand) override { return reinterpret_cast<std::byte*>(operand.offset); }
  bool goes_with_ranks() const override { return true; }
  std::span<std::byte> bounce(int) override { return {}; }
  std::span<std::byte> mail_bounce(int, int) override { return {}; }
  Buffer allocate(GroupChannel&, std::int64_t, MemoryKind) override { return {}; }
  bool has_common() const override { return false; }
  Buffer allocate_common(GroupChannel&, std::int64_t, MemoryKind) override { return {}; }
  bool is_common(const TensorView&) const override { return false; }

 private:
  std::array<RankBlock, 2> blocks_;
  MailSlot mail_;
};

/// One of the two ranks, and an operand of it.
struct Party {
  Party(OpenMemory& open, int rank)
      : memory(&open), identity{.axis = "world", .rank = rank, .members = {{0, "a"}, {1, "a"}}} {}

  void exchange(const std::function<void(WindowExchange::Chunk)>& work) {
    const TensorView operand(reinterpret_cast<std::byte*>(values.data()), DType::f32, {std::ssize(values)});
    WindowExchange(identity, channel, *memory, {CollectiveCall::Kind::all_reduce, DType::f32, std::ssize(values), 0},
                   operand, 1)
        .for_each_chunk(work);
  }

  OpenMemory* memory;
  GroupIdentity identity;
  GroupChannel channel{identity, {&memory->block(0), &memory->block(1)}};
  std::vector<float> values = std::vector<float>(2048);
};

TEST(WindowExchange, ARankThatGivesUpKeepsItsOperandUntilNobodyWorksOnIt) {
  OpenMemory memory;
  Party first(memory, 0), second(memory, 1);
  std::atomic<bool> is_at_work{false}, is_aborted{false}, is_done{false};
  std::thread slow([&] {
    EXPECT_THROW(second.exchange([&](WindowExchange::Chunk) {
      is_at_work = true;
      while (!is_aborted) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      is_done = true;
    }),
                 AbortedError);
  });
  std::thread other([&] {
    while (!is_at_work) std::this_thread::yield();
    first.channel.abort("the disk is full");
    is_aborted = true;
  });

  EXPECT_THROW(first.exchange([](WindowExchange::Chunk) {}), AbortedError);
  EXPECT_TRUE(is_done) << "the operand of the first rank may be gone while the second one works on it";
  slow.join();
  other.join();
}

TEST(WindowExchange, AfterAnAbortNobodyBeginsToWorkOnOperands) {
  OpenMemory memory;
  Party first(memory, 0);
  { const Visit visit(first.channel, "all_reduce"); }
  first.channel.abort("the disk is full");

  EXPECT_THROW(Visit(first.channel, "all_reduce"), AbortedError);
  EXPECT_EQ(memory.block(0).visits.load(), 0U);
}

}  // namespace
}  // namespace ferula
