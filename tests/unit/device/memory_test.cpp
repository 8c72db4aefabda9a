// Buffers, the ledger that counts them, and the arena that hands out scratch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/arena.hpp"
#include "device/device.hpp"

namespace ferula {
namespace {

class Memory : public testing::Test {
 protected:
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_ = make_cpu_device(ledger_);
};

TEST_F(Memory, BuffersAreZeroedAlignedAndCounted) {
  const Buffer small = device_->allocate(100, MemoryKind::parameters);
  const Buffer large = device_->allocate(9 << 20, MemoryKind::optimizer);

  for (const Buffer* buffer : {&small, &large}) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % 64, 0u);
    for (const std::uint8_t byte : buffer->flat(DType::u8).span<std::uint8_t>()) ASSERT_EQ(byte, 0);
  }
  EXPECT_EQ(ledger_.current_bytes(MemoryKind::parameters), 100);
  EXPECT_EQ(ledger_.current_bytes(), 100 + (9 << 20));
  EXPECT_EQ(ledger_.allocations(), 2);
}

TEST_F(Memory, TheLedgerRemembersThePeakAndForgetsWhatWasGivenBack) {
  { const Buffer buffer = device_->allocate(4096, MemoryKind::activations); }

  EXPECT_EQ(ledger_.current_bytes(), 0);
  EXPECT_EQ(ledger_.peak_bytes(), 4096);
  EXPECT_EQ(ledger_.peak_bytes(MemoryKind::activations), 4096);
  ledger_.reset_peak();
  EXPECT_EQ(ledger_.peak_bytes(), 0);
}

TEST_F(Memory, AMovedBufferIsCountedOnce) {
  Buffer first = device_->allocate(64, MemoryKind::buffers);
  Buffer second = std::move(first);
  first = device_->allocate(128, MemoryKind::buffers);

  second = std::move(first);

  EXPECT_EQ(second.bytes(), 128);
  EXPECT_EQ(ledger_.current_bytes(), 128);
}

TEST_F(Memory, ZeroBytesAreAnEmptyBuffer) {
  EXPECT_EQ(device_->allocate(0, MemoryKind::buffers).data(), nullptr);
  EXPECT_EQ(ledger_.allocations(), 0);
}

TEST_F(Memory, ARefusalNamesTheRequestAndWhatIsHeld) {
  const Buffer held = device_->allocate(3 << 20, MemoryKind::gradients);

  try {
    device_->allocate(std::int64_t{1} << 60, MemoryKind::parameters);
    FAIL() << "that much memory exists";
  } catch (const CapacityError& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("of parameters"), testing::HasSubstr("gradients 3 MiB")));
  }
}

TEST_F(Memory, AnArenaGivesBackByScope) {
  Arena arena(*device_, MemoryKind::activations);
  arena.reserve(arena_bytes(DType::f32, 10) + arena_bytes(DType::bf16, 7));
  const TensorView kept = arena.take(DType::f32, {2, 5});
  const std::int64_t used = arena.used_bytes();
  std::byte* address = nullptr;
  {
    const Arena::Scope scope(arena);
    address = arena.take(DType::bf16, {7}).data;
  }

  EXPECT_EQ(arena.used_bytes(), used);
  EXPECT_EQ(arena.take(DType::bf16, {7}).data, address);
  EXPECT_EQ(kept.count(), 10);
  EXPECT_EQ(arena.high_water_bytes(), arena.capacity_bytes());
  EXPECT_EQ(ledger_.allocations(), 1);
}

TEST_F(Memory, AnArenaRefusesMoreThanItsCapacity) {
  Arena arena(*device_, MemoryKind::activations);
  arena.reserve(64);

  EXPECT_THROW(arena.take(DType::f32, {1000}), CapacityError);
}

}  // namespace
}  // namespace ferula
