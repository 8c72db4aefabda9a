// Shared memory between processes: operands in place and staged, dying ranks, nothing left behind.
#include "comm/shared_memory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "comm_fixture.hpp"
#include "forked_ranks.hpp"

namespace ferula {
namespace {

using test::Child;
using test::ForkedRanks;
using test::message_of;
using test::view_of;

constexpr SharedMemoryOptions kTinyChunks{.chunk_bytes = 64, .message_chunk_bytes = 8};
/// However long a meeting takes, the cores count as ones that share no cache: chunks are written past the caches.
constexpr MeetingTimes kAlwaysFar{.between_caches_s = 0, .on_one_core_s = std::numeric_limits<double>::infinity()};
const std::vector<int> kAllWell3(3, 0);

/// Number of lines of this process's memory map that contain `part`.
std::int64_t mappings_with(const std::string& part) {
  std::ifstream file("/proc/self/maps");
  std::int64_t found = 0;
  for (std::string line; std::getline(file, line);) found += line.find(part) != std::string::npos ? 1 : 0;
  return found;
}

TEST(SharedMemory, OperandsInTheWindowAndElsewhereGiveTheSameSums) {
  ForkedRanks ranks(3, kTinyChunks, [](Child child) {
    const std::int64_t count = 1009;
    Buffer buffer = child.group.allocate(count * 4, MemoryKind::gradients);
    std::vector<float> apart(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      apart[at] = static_cast<float>(i) * 0.3f + static_cast<float>(child.group.rank());
      buffer.flat(DType::f32).span<float>()[at] = apart[at];
    }
    EXPECT_TRUE(child.window.find(buffer.flat(DType::f32), {0, 1, 2}).has_value());
    EXPECT_FALSE(child.window.find(view_of(apart), {0, 1, 2}).has_value());

    child.group.all_reduce(child.stream, buffer.flat(DType::f32), ReduceOp::sum);
    child.group.all_reduce(child.stream, view_of(apart), ReduceOp::sum);

    const std::span<float> inside = buffer.flat(DType::f32).span<float>();
    EXPECT_TRUE(std::equal(inside.begin(), inside.end(), apart.begin()));
    EXPECT_EQ(apart[10], ((3.0f + 0.0f) + (3.0f + 1.0f)) + (3.0f + 2.0f));
  });

  EXPECT_EQ(ranks.wait(), kAllWell3);
}

TEST(SharedMemory, LargeOperandsArriveWhole) {
  ForkedRanks ranks(3, {}, [](Child child) {
    const std::int64_t part = 1'100'003;  // of 4 bytes: more than caches hold, on no boundary
    Buffer buffer = child.group.allocate(3 * part * 4, MemoryKind::parameters);
    const TensorView inside = buffer.flat(DType::i32);
    std::vector<std::int32_t> values(static_cast<std::size_t>(3 * part));
    const std::int64_t mine = child.group.rank() * part;
    for (std::int64_t i = mine; i < mine + part; ++i) {
      values[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(7 * i);
      inside.span<std::int32_t>()[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(7 * i);
    }

    child.group.all_gather(child.stream, inside.range(mine, part), inside);
    child.group.all_gather(child.stream, view_of(values).range(mine, part), view_of(values));

    for (std::int64_t i = 0; i < 3 * part; ++i) {
      ASSERT_EQ(values[static_cast<std::size_t>(i)], static_cast<std::int32_t>(7 * i));
      ASSERT_EQ(inside.span<std::int32_t>()[static_cast<std::size_t>(i)], static_cast<std::int32_t>(7 * i));
    }
  });

  EXPECT_EQ(ranks.wait(), kAllWell3);
}

TEST(SharedMemory, BroadcastsInARowKeepTheirValues) {
  ForkedRanks ranks(3, {}, [](Child child) {
    for (std::int32_t turn = 0; turn < 200; ++turn) {
      std::vector<std::int32_t> value(5, child.group.rank() == 1 ? turn : -1);
      if (child.group.rank() == 2 && turn % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      child.group.broadcast(child.stream, view_of(value), 1);
      ASSERT_EQ(value, std::vector<std::int32_t>(5, turn));
    }
    std::vector<std::int32_t> total(1, 1);
    child.group.all_reduce(child.stream, view_of(total), ReduceOp::sum);
    EXPECT_EQ(total[0], 3);
  });

  EXPECT_EQ(ranks.wait(), kAllWell3);
}

/// The element `at` of what `rank` gives in that turn.
std::int32_t given(std::int32_t turn, int rank, std::size_t at) {
  return 1'000'000 * (rank + 1) + 1000 * (turn % 900) + static_cast<std::int32_t>(at);
}

void expect_gathered(Child child, std::int32_t turn, std::size_t count) {
  const auto ranks = static_cast<std::size_t>(child.group.size());
  std::vector<std::int32_t> own(count), all(ranks * count);
  for (std::size_t at = 0; at < count; ++at) own[at] = given(turn, child.group.rank(), at);
  child.group.all_gather(child.stream, view_of(own), view_of(all));
  for (std::size_t at = 0; at < all.size(); ++at)
    ASSERT_EQ(all[at], given(turn, static_cast<int>(at / count), at % count)) << "turn " << turn << ", element " << at;
}

/// Calls in which some chunks pass, `scale` times the fewest, and then often operands in the window: who is done goes
/// on while others still read what it has staged.
void run_ahead(Child child, std::size_t scale) {
  const std::size_t few = 700 * scale, more = 900 * scale;
  Buffer window = child.group.allocate(600 * 4, MemoryKind::buffers);
  for (std::int32_t turn = 0; turn < 300; ++turn) {
    if (turn % 3 == child.group.rank()) std::this_thread::sleep_for(std::chrono::microseconds(100));
    expect_gathered(child, turn, scale * (600 + static_cast<std::size_t>(turn * 131 % 4000)));
    if (turn % 2 == 0) child.group.all_reduce(child.stream, window.flat(DType::i32), ReduceOp::max);
    std::vector<std::int32_t> parts(3 * few, child.group.rank()), part(few);
    child.group.reduce_scatter(child.stream, view_of(parts), view_of(part), ReduceOp::sum);
    ASSERT_EQ(part, std::vector<std::int32_t>(few, 3));
    child.group.all_reduce(child.stream, view_of(parts), ReduceOp::sum);
    ASSERT_EQ(parts, std::vector<std::int32_t>(3 * few, 3));
    std::vector<std::int32_t> told(more, child.group.rank() == turn % 3 ? turn : -1);
    child.group.broadcast(child.stream, view_of(told), turn % 3);
    ASSERT_EQ(told, std::vector<std::int32_t>(more, turn));
  }
}

TEST(SharedMemory, RanksThatRunAheadLeaveWhatOthersStillRead) {
  ForkedRanks ranks(3, {.chunk_bytes = 8192, .message_chunk_bytes = 8}, [](Child child) { run_ahead(child, 1); });

  EXPECT_EQ(ranks.wait(), kAllWell3);
}

TEST(SharedMemory, RanksWhoseCoresShareNoCacheRunAheadAsWell) {
  ForkedRanks ranks(3, {.chunk_bytes = 32 << 10, .message_chunk_bytes = 8, .meeting_times = kAlwaysFar},
                    [](Child child) { run_ahead(child, 4); });

  EXPECT_EQ(ranks.wait(), kAllWell3);
}

TEST(SharedMemory, MixedOperandsAreStagedTogether) {
  ForkedRanks ranks(3, kTinyChunks, [](Child child) {
    Buffer buffer = child.group.allocate(1001 * 4, MemoryKind::gradients);
    std::vector<std::int32_t> apart(1001);
    const TensorView view = child.group.rank() == 1 ? view_of(apart) : buffer.flat(DType::i32);
    for (std::int32_t& value : view.span<std::int32_t>()) value = child.group.rank() + 1;

    child.group.all_reduce(child.stream, view, ReduceOp::sum);

    for (const std::int32_t value : view.span<std::int32_t>()) ASSERT_EQ(value, 6);
  });

  EXPECT_EQ(ranks.wait(), kAllWell3);
}

TEST(SharedMemory, BuffersAreZeroAlignedAndCounted) {
  ForkedRanks ranks(2, {}, [](Child child) {
    const std::int64_t before = child.device.ledger().current_bytes(MemoryKind::parameters);
    Buffer buffer = child.group.allocate(1000, MemoryKind::parameters);

    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0u);
    for (const std::uint8_t value : buffer.flat(DType::u8).span<std::uint8_t>()) ASSERT_EQ(value, 0);
    EXPECT_EQ(child.device.ledger().current_bytes(MemoryKind::parameters), before + 1000);
    EXPECT_EQ(child.group.allocate(0, MemoryKind::parameters).bytes(), 0);
  });

  EXPECT_EQ(ranks.wait(), (std::vector<int>{0, 0}));
}

TEST(SharedMemory, WhatIsGatheredInCommonMemoryLiesThereOnce) {
  ForkedRanks ranks(3, {}, [](Child child) {
    const int rank = child.group.rank();
    const std::int64_t part = 70'001;
    ASSERT_TRUE(child.group.has_common_memory());
    Buffer buffer = child.group.allocate_common(3 * part * 4, MemoryKind::parameters);
    const TensorView whole = buffer.flat(DType::i32);
    const TensorView mine = whole.range(rank * part, part);
    for (std::int32_t turn = 1; turn <= 20; ++turn) {
      std::vector<std::int32_t> apart(static_cast<std::size_t>(part), 10 * turn + rank);
      if (turn % 2 == 0) {
        std::copy(apart.begin(), apart.end(), mine.span<std::int32_t>().begin());
        child.group.all_gather(child.stream, mine, whole);
      } else {
        child.group.all_gather(child.stream, view_of(apart), whole);
      }

      for (std::int64_t i = 0; i < 3 * part; ++i)
        ASSERT_EQ(whole.span<std::int32_t>()[static_cast<std::size_t>(i)], 10 * turn + i / part);
      barrier(child.group, child.stream);  // all have read it
    }
  });

  EXPECT_EQ(ranks.wait(), kAllWell3);
}

TEST(SharedMemory, CommonMemoryIsCountedInPartsAndEndsWithItsLastUser) {
  ForkedRanks ranks(2, {}, [](Child child) {
    const std::int64_t before = child.device.ledger().current_bytes(MemoryKind::parameters);
    Buffer buffer = child.group.allocate_common(6'000'002, MemoryKind::parameters);
    const TensorView bytes = buffer.flat(DType::u8);
    EXPECT_EQ(child.device.ledger().current_bytes(MemoryKind::parameters), before + 3'000'001);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0u);
    EXPECT_EQ(child.group.allocate_common(0, MemoryKind::parameters).bytes(), 0);
    if (child.group.rank() == 1) bytes.span<std::uint8_t>()[5'000'000] = 77;
    barrier(child.group, child.stream);

    if (child.group.rank() == 0) buffer.reset();
    barrier(child.group, child.stream);

    if (child.group.rank() == 1) {
      EXPECT_EQ(bytes.span<std::uint8_t>()[5'000'000], 77);
      EXPECT_EQ(bytes.span<std::uint8_t>()[1], 0);
      buffer.reset();
    }
    EXPECT_EQ(child.device.ledger().current_bytes(MemoryKind::parameters), before);
    EXPECT_EQ(mappings_with("/memfd:ferula"), 2);  // the group's own
  });

  EXPECT_EQ(ranks.wait(), (std::vector<int>{0, 0}));
}

TEST(SharedMemory, WhatIsTooLargeIsRefusedOnAllRanksWhichGoOnInStep) {
  ForkedRanks ranks(2, {}, [](Child child) {
    constexpr std::int64_t kMoreThanAddresses = std::int64_t{1} << 50;
    const std::int64_t before = child.device.ledger().current_bytes();
    const std::string own =
        message_of<CapacityError>([&] { child.group.allocate(kMoreThanAddresses, MemoryKind::gradients); });
    const std::string common =
        message_of<CapacityError>([&] { child.group.allocate_common(kMoreThanAddresses, MemoryKind::parameters); });

    EXPECT_NE(own.find("1073741824 MiB of gradients"), std::string::npos) << own;
    EXPECT_NE(common.find("1073741824 MiB of parameters"), std::string::npos) << common;
    EXPECT_EQ(child.device.ledger().current_bytes(), before);
    const Buffer buffer = child.group.allocate_common(4096, MemoryKind::parameters);
    child.group.all_gather(child.stream, buffer.flat(DType::u8).range(2048 * child.group.rank(), 2048),
                           buffer.flat(DType::u8));
  });

  EXPECT_EQ(ranks.wait(), (std::vector<int>{0, 0}));
}

TEST(SharedMemory, AGatherIntoCommonMemoryNoticesARankThatCallsSomethingElse) {
  ForkedRanks ranks(2, {}, [](Child child) {
    Buffer buffer = child.group.allocate_common(64, MemoryKind::parameters);
    const TensorView whole = buffer.flat(DType::f32);
    const std::string message = message_of<CommError>([&] {
      if (child.group.rank() == 0) {
        child.group.all_gather(child.stream, whole.range(0, 8), whole);
      } else {
        barrier(child.group, child.stream);
      }
    });
    EXPECT_NE(message.find("rank 0 (here) called all_gather(f32 × 16, into common memory)"), std::string::npos)
        << message;
    EXPECT_NE(message.find("rank 1 (here) called all_reduce(f64 × 1, max)"), std::string::npos) << message;
  });

  EXPECT_EQ(ranks.wait(), (std::vector<int>{0, 0}));
}

TEST(SharedMemory, AMessageLongerThanItsChunkArrivesWhole) {
  ForkedRanks ranks(2, kTinyChunks, [](Child child) {
    std::vector<std::uint8_t> data(1003);
    if (child.group.rank() == 0) {
      for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i % 251);
      child.group.send(child.stream, view_of(data), 1);
    } else {
      child.group.receive(child.stream, view_of(data), 0);
      for (std::size_t i = 0; i < data.size(); ++i) ASSERT_EQ(data[i], i % 251);
    }
  });

  EXPECT_EQ(ranks.wait(), (std::vector<int>{0, 0}));
}

TEST(SharedMemory, ADeadRankIsNamedByTheOthers) {
  ForkedRanks ranks(3, {}, [](Child child) {
    barrier(child.group, child.stream);
    if (child.group.rank() == 2) std::raise(SIGKILL);
    const std::string message = message_of<CommError>([&] { barrier(child.group, child.stream); });
    EXPECT_NE(message.find("all_reduce of group 'world'"), std::string::npos) << message;
    EXPECT_NE(message.find("rank 2 (here), process"), std::string::npos) << message;
    EXPECT_NE(message.find("has ended"), std::string::npos) << message;
  });

  EXPECT_EQ(ranks.wait(), (std::vector<int>{0, 0, 128 + SIGKILL}));
}

TEST(SharedMemory, ALateRankIsNamedAndFailsToo) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  ForkedRanks ranks(2, {}, [ends](Child child) {
    char letter = 0;
    if (child.group.rank() == 0) child.group.set_timeout(std::chrono::milliseconds(100));
    if (child.group.rank() == 1) ASSERT_EQ(read(ends[0], &letter, 1), 1);  // until rank 0 has given up
    const std::string message = message_of<CommError>([&] { barrier(child.group, child.stream); });
    if (child.group.rank() == 0) ASSERT_EQ(write(ends[1], &letter, 1), 1);
    EXPECT_NE(message.find("waited 0.1 s for rank 1 (here)"), std::string::npos) << message;
  });

  EXPECT_EQ(ranks.wait(), (std::vector<int>{0, 0}));
}

std::int64_t open_files() {
  std::int64_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator("/proc/self/fd")) files += file.path().empty() ? 0 : 1;
  return files;
}

TEST(SharedMemory, LivesInMemoryWithoutANameAndKeepsNoFileOpen) {
  const std::int64_t files = open_files(), shm = mappings_with("/dev/shm");
  ForkedRanks ranks(3, {}, [files, shm](Child child) {
    const Buffer buffer = child.group.allocate(1 << 20, MemoryKind::buffers);

    EXPECT_EQ(mappings_with("/memfd:ferula"), 6);  // a group segment and a buffer of each rank
    EXPECT_EQ(mappings_with("/dev/shm"), shm);     // so kill -9 of all ranks leaves nothing behind
    EXPECT_EQ(open_files(), files);
  });

  EXPECT_EQ(ranks.wait(), kAllWell3);
}

TEST(SharedMemory, ReleasedBuffersAreForgottenByAll) {
  ForkedRanks ranks(3, kTinyChunks, [](Child child) {
    const auto cycle = [&] {
      Buffer buffer = child.group.allocate(4096, MemoryKind::buffers);
      child.group.all_reduce(child.stream, buffer.flat(DType::f32), ReduceOp::sum);
      barrier(child.group, child.stream);
    };
    for (int round = 0; round < 3; ++round) cycle();
    barrier(child.group, child.stream);
    const std::int64_t mappings = mappings_with("memfd:ferula"), files = open_files();
    std::vector<double> values(33);
    for (int round = 0; round < 1000; ++round) child.group.all_reduce(child.stream, view_of(values), ReduceOp::sum);
    for (int round = 0; round < 50; ++round) cycle();
    barrier(child.group, child.stream);

    EXPECT_LE(mappings_with("memfd:ferula"), mappings + 2);  // a peer's last buffer may not be forgotten yet
    EXPECT_EQ(open_files(), files);
  });

  EXPECT_EQ(ranks.wait(), kAllWell3);
}

TEST(SharedMemory, RefusesAPeerWhoseProcessIsCountedElsewhere) {
  const SharedSegment segment = SharedSegment::create(64, SharedSegment::Commit::now);
  SegmentCard card = segment.card(1);
  EXPECT_NO_THROW(SharedSegment::open(card));

  card.cookie ^= 1;
  EXPECT_THROW(SharedSegment::open(card), DeviceError);
  card.file = 999;
  EXPECT_THROW(SharedSegment::open(card), DeviceError);
}

}  // namespace
}  // namespace ferula
