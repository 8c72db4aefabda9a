// Memory and streams of a GPU: order between its work and the host's tasks, errors, and what a full GPU says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "device/cuda/cuda_device.hpp"
#include "device/cuda/visible_gpus.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::int64_t kCount = 1 << 20;

class CudaDevice : public testing::Test {
 protected:
  Buffer shared() { return device_->allocate_shared(kCount * bytes_of(DType::i32), MemoryKind::buffers); }
  Buffer far() { return device_->allocate(kCount * bytes_of(DType::i32), MemoryKind::buffers); }
  void copy(Stream& stream, const Buffer& from, const Buffer& to) {
    device_->copy(stream, from.data(), to.data(), from.bytes());
  }
  static std::span<std::int32_t> numbers(const Buffer& buffer) { return buffer.flat(DType::i32).span<std::int32_t>(); }

  MemoryLedger ledger_{"Then train less"};
  std::unique_ptr<Device> device_ = make_cuda_device(0, ledger_);
};

TEST_F(CudaDevice, GivesZeroedMemoryThatItsLedgerCounts) {
  const std::unique_ptr<Stream> stream = device_->make_stream();
  const Buffer far_memory = far(), near_memory = shared();
  std::ranges::fill(numbers(near_memory), 7);

  copy(*stream, far_memory, near_memory);
  stream->synchronize();

  EXPECT_THAT(numbers(near_memory), testing::Each(0));
  EXPECT_EQ(ledger_.current_bytes(MemoryKind::buffers), 2 * kCount * bytes_of(DType::i32));
}

TEST_F(CudaDevice, RunsTasksOfTheHostInTheOrderOfItsWork) {
  const std::unique_ptr<Stream> stream = device_->make_stream();
  const Buffer source = shared(), before = shared(), behind = shared(), memory = far();
  std::iota(numbers(source).begin(), numbers(source).end(), 1);
  const std::vector<std::int32_t> given(numbers(source).begin(), numbers(source).end());

  copy(*stream, source, memory);
  stream->run([&] {
    for (std::int32_t& number : numbers(source)) number *= 2;
  });
  copy(*stream, memory, before);
  copy(*stream, source, memory);
  copy(*stream, memory, behind);
  stream->synchronize();

  EXPECT_TRUE(std::equal(given.begin(), given.end(), numbers(before).begin()));
  EXPECT_TRUE(std::equal(given.begin(), given.end(), numbers(behind).begin(),
                         [](std::int32_t once, std::int32_t twice) { return 2 * once == twice; }));
}

TEST_F(CudaDevice, EventsOrderStreamsAlsoBehindTasksOfTheHost) {
  const std::unique_ptr<Stream> first = device_->make_stream(), second = device_->make_side_stream("second");
  const Buffer source = shared(), found = shared(), memory = far();
  for (int round = 1; round <= 200; ++round) {  // more than a stream has events
    first->run([&, round] {
      if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      std::ranges::fill(numbers(source), round);
    });
    copy(*first, source, memory);
    second->wait(first->record());
    copy(*second, memory, found);
    first->wait(second->record());
  }
  first->synchronize();

  EXPECT_THAT(numbers(found), testing::Each(200));
}

TEST_F(CudaDevice, KeepsTheErrorOfATaskAndDropsWhatComesBehind) {
  const std::unique_ptr<Stream> stream = device_->make_stream(), other = device_->make_stream();
  bool came_behind = false;

  stream->run([] { throw CommError("a rank is late"); });
  EXPECT_THROW(
      {
        stream->run([&] { came_behind = true; });
        const Event event = stream->record();
        other->wait(event);
        stream->synchronize();
      },
      CommError);
  EXPECT_THROW(stream->synchronize(), CommError);
  EXPECT_FALSE(came_behind);
  other->synchronize();
}

TEST_F(CudaDevice, SaysWhatAFullGpuHolds) {
  const Buffer held = device_->allocate(std::int64_t{64} << 20, MemoryKind::optimizer);
  try {
    device_->allocate(std::int64_t{1} << 46, MemoryKind::parameters);
    FAIL() << "64 TiB were there";
  } catch (const CapacityError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("out of memory on cuda:0"), HasSubstr("of parameters"),
                                    HasSubstr("optimizer 64 MiB"), HasSubstr("are free"), HasSubstr("train less")));
  }
  EXPECT_NO_THROW(device_->allocate(1 << 20, MemoryKind::buffers));
}

TEST(VisibleGpus, AreToldByNameUuidAndMemory) {
  const std::vector<GpuInfo> gpus = visible_gpus();

  ASSERT_FALSE(gpus.empty());
  EXPECT_FALSE(gpus[0].name.empty());
  EXPECT_EQ(gpus[0].uuid.size(), std::string_view("GPU-01234567-89ab-cdef-0123-456789abcdef").size());
  EXPECT_GT(gpus[0].memory_bytes, std::int64_t{1} << 30);
}

}  // namespace
}  // namespace ferula
