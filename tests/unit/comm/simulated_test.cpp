// Collectives, messages and failures of ranks that are threads.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "comm_fixture.hpp"

namespace ferula {
namespace {

using test::message_of;
using test::on_simulated_ranks;
using test::OnDevice;
using test::Rank;
using test::rank_kinds;
using test::RankKind;
using test::view_of;

float value_at(int rank, std::size_t element) {
  return static_cast<float>((rank + 1) * 0.37 + static_cast<double>(element) * 0.011);
}

std::vector<float> operand_of(int rank, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = value_at(rank, i);
  return values;
}

float sum_at(int ranks, std::size_t element) {
  float sum = value_at(0, element);
  for (int rank = 1; rank < ranks; ++rank) sum += value_at(rank, element);
  return sum;
}

class SimulatedRanks : public ::testing::TestWithParam<RankKind> {};
INSTANTIATE_TEST_SUITE_P(Ranks, SimulatedRanks, ::testing::ValuesIn(rank_kinds()), ::testing::PrintToStringParamName());

TEST_P(SimulatedRanks, AllReduceSumsInRankOrder) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    for (const std::size_t count : {0u, 1u, 3u, 7u, 5003u}) {
      const OnDevice<float> operand(rank.device, rank.stream, operand_of(rank.mesh.rank(), count));
      rank.mesh.world().all_reduce(rank.stream, operand.view(), ReduceOp::sum);

      const std::vector<float> sums = operand.values();
      for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(sums[i], sum_at(rank.mesh.size(), i));
    }
  });
}

TEST_P(SimulatedRanks, ReduceScatterInPlaceAndApartGiveTheSamePart) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    const auto ranks = static_cast<std::size_t>(rank.mesh.size());
    const auto me = static_cast<std::size_t>(rank.mesh.rank());
    const std::size_t part = 997;
    const std::vector<float> values = operand_of(rank.mesh.rank(), part * ranks);
    const OnDevice<float> whole(rank.device, rank.stream, values), again(rank.device, rank.stream, values);
    const OnDevice<float> apart(rank.device, rank.stream, std::vector<float>(part));

    rank.mesh.world().reduce_scatter(rank.stream, whole.view(), apart.view(), ReduceOp::sum);
    rank.mesh.world().reduce_scatter(rank.stream, again.view(), again.range(me * part, part), ReduceOp::sum);

    const std::vector<float> found = apart.values(), inside = again.values();
    for (std::size_t i = 0; i < part; ++i) {
      ASSERT_EQ(found[i], sum_at(rank.mesh.size(), me * part + i));
      ASSERT_EQ(inside[me * part + i], found[i]);
    }
  });
}

TEST_P(SimulatedRanks, AllGatherInPlaceAndApartMovesAnyElementType) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    const auto ranks = static_cast<std::size_t>(rank.mesh.size()), me = static_cast<std::size_t>(rank.mesh.rank());
    const std::size_t part = 131;
    const std::vector<std::uint8_t> mine(part, static_cast<std::uint8_t>(me + 1));
    const OnDevice<std::uint8_t> shard(rank.device, rank.stream, mine);
    const OnDevice<std::uint8_t> apart(rank.device, rank.stream, std::vector<std::uint8_t>(part * ranks));
    const OnDevice<std::uint8_t> whole(rank.device, rank.stream,
                                       std::vector<std::uint8_t>(part * ranks, static_cast<std::uint8_t>(me + 1)));

    rank.mesh.world().all_gather(rank.stream, shard.view(), apart.view());
    rank.mesh.world().all_gather(rank.stream, whole.range(me * part, part), whole.view());

    const std::vector<std::uint8_t> found = apart.values();
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], i / part + 1);
    EXPECT_EQ(whole.values(), found);
  });
}

TEST_P(SimulatedRanks, BroadcastsComeFromTheirRoot) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    for (int root = 0; root < rank.mesh.size(); ++root) {
      const OnDevice<std::int64_t> numbers(rank.device, rank.stream,
                                           std::vector<std::int64_t>(71, rank.mesh.rank() * 100));
      rank.mesh.world().broadcast(rank.stream, numbers.view(), root);

      EXPECT_EQ(numbers.values(), std::vector<std::int64_t>(71, root * 100));
    }
  });
}

TEST_P(SimulatedRanks, SumsOfBf16AreRoundedOnce) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    const OnDevice<bf16> operand(rank.device, rank.stream, {bf16(rank.mesh.rank() == 0 ? 256.0f : 0.9f)});
    rank.mesh.world().all_reduce(rank.stream, operand.view(), ReduceOp::sum);

    const bf16 found = operand.values()[0];
    const float exact = 256.0f + 0.9f * static_cast<float>(rank.mesh.size() - 1);
    EXPECT_EQ(found, bf16(256.0f + static_cast<float>(bf16(0.9f)) * static_cast<float>(rank.mesh.size() - 1)));
    EXPECT_NEAR(static_cast<float>(found), exact, 1.0f);  // half a unit in the last place at 256
  });
}

TEST_P(SimulatedRanks, HostScalarsAreAgreedOn) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    const int ranks = rank.mesh.size();
    EXPECT_EQ(agree_sum(rank.mesh.world(), rank.stream, rank.mesh.rank() + 0.5), ranks * ranks * 0.5);
    EXPECT_EQ(agree_max(rank.mesh.world(), rank.stream, rank.mesh.rank()), ranks - 1);
    barrier(rank.mesh.world(), rank.stream);
  });
}

TEST_P(SimulatedRanks, GroupedMessagesGoRoundARing) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    const int ranks = rank.mesh.size();
    if (ranks == 1) return;
    const int next = (rank.mesh.rank() + 1) % ranks, before = (rank.mesh.rank() + ranks - 1) % ranks;
    const OnDevice<float> first(rank.device, rank.stream, operand_of(rank.mesh.rank(), 1001));
    const OnDevice<float> second(rank.device, rank.stream, {7.0f});
    const OnDevice<float> got(rank.device, rank.stream, std::vector<float>(1001));
    const OnDevice<float> flag(rank.device, rank.stream, {0.0f});
    Communicator& world = rank.mesh.world();

    world.group_begin();
    world.send(rank.stream, first.view(), next);
    world.send(rank.stream, second.view(), next);
    world.receive(rank.stream, got.view(), before);
    world.receive(rank.stream, flag.view(), before);
    world.group_end();

    EXPECT_EQ(got.values(), operand_of(before, 1001));
    EXPECT_EQ(flag.values()[0], 7.0f);
  });
}

TEST_P(SimulatedRanks, AGroupedMessageMeetsOnesThatAreNot) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    if (rank.mesh.size() == 1 || rank.mesh.rank() > 1) return;
    const OnDevice<float> first(rank.device, rank.stream, operand_of(rank.mesh.rank(), 301));
    const OnDevice<float> second(rank.device, rank.stream, operand_of(rank.mesh.rank() + 5, 77));
    const OnDevice<float> answer(rank.device, rank.stream, std::vector<float>(59));
    Communicator& world = rank.mesh.world();

    if (rank.mesh.rank() == 0) {
      world.group_begin();
      world.receive(rank.stream, answer.view(), 1);  // comes after both that are sent
      world.send(rank.stream, first.view(), 1);
      world.send(rank.stream, second.view(), 1);
      world.group_end();
      EXPECT_EQ(answer.values(), operand_of(0, 59));
    } else {
      world.receive(rank.stream, first.view(), 0);
      world.receive(rank.stream, second.view(), 0);
      world.send(rank.stream, first.range(0, 59), 0);
      EXPECT_EQ(second.values(), operand_of(5, 77));
      EXPECT_EQ(first.values(), operand_of(0, 301));
    }
  });
}

TEST_P(SimulatedRanks, CollectivesOnASideStreamKeepTheOrder) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    const std::unique_ptr<Stream> side = rank.device.make_side_stream("collectives");
    const OnDevice<double> operand(rank.device, *side, {1.0});
    for (int round = 0; round < 20; ++round) rank.mesh.world().all_reduce(*side, operand.view(), ReduceOp::sum);

    double expected = 1.0;
    for (int round = 0; round < 20; ++round) expected *= rank.mesh.size();
    EXPECT_EQ(operand.values()[0], expected);
  });
}

class ThreeRanks : public ::testing::TestWithParam<RankKind> {};
INSTANTIATE_TEST_SUITE_P(Ranks, ThreeRanks,
                         ::testing::Values(RankKind{3, RankKind::Groups::simulated},
                                           RankKind{3, RankKind::Groups::staged, 128}),
                         ::testing::PrintToStringParamName());

TEST_P(ThreeRanks, AMissingOneIsNamedAfterTheTimeout) {
  const std::string message = message_of<CommError>([] {
    on_simulated_ranks(GetParam(), {.timeout = std::chrono::milliseconds(100)}, [](Rank rank) {
      if (rank.mesh.rank() == 0) barrier(rank.mesh.world(), rank.stream);
    });
  });

  EXPECT_NE(message.find("all_reduce of group 'world'"), std::string::npos) << message;
  EXPECT_NE(message.find("for rank 1 ("), std::string::npos) << message;
}

TEST_P(ThreeRanks, AbortReachesThoseThatWaitWithItsReason) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    if (rank.mesh.rank() == 0) {
      rank.mesh.world().abort("the disk is full");
      return;
    }
    const std::string message = message_of<CommError>([&] { barrier(rank.mesh.world(), rank.stream); });
    EXPECT_NE(message.find("rank 0"), std::string::npos) << message;
    EXPECT_NE(message.find("the disk is full"), std::string::npos) << message;
  });
}

TEST_P(ThreeRanks, DifferentCallsAreAnErrorOnEveryOne) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    const OnDevice<float> values(rank.device, rank.stream, std::vector<float>(rank.mesh.rank() == 2 ? 6 : 3));
    const std::string message = message_of<CommError>([&] {
      rank.mesh.world().all_reduce(rank.stream, values.view(), ReduceOp::sum);
      rank.stream.synchronize();
    });
    EXPECT_NE(message.find("f32 × 3"), std::string::npos) << message;
    EXPECT_NE(message.find("f32 × 6"), std::string::npos) << message;
  });
}

TEST(SimulatedWorld, RanksThatHaveMemoryInCommonReadWhatTheOthersWroteBeforeAGather) {
  constexpr int kRanks = 3;
  const auto as_rank = [](std::unique_ptr<Mesh::Transport> transport) {
    MemoryLedger ledger;
    const std::unique_ptr<Device> device = make_cpu_device(ledger);
    Mesh mesh(std::move(transport), {.shard = kRanks}, *device, test::kPatient);
    const std::unique_ptr<Stream> stream = device->make_stream();
    Communicator& group = mesh.shard();
    const Buffer buffer = group.allocate_common(kRanks * 100 * bytes_of(DType::i32), MemoryKind::parameters);
    const TensorView whole = buffer.flat(DType::i32), mine = whole.range(group.rank() * 100, 100);
    for (std::int32_t turn = 0; turn < 20; ++turn) {
      for (std::int32_t& value : mine.span<std::int32_t>()) value = 10 * turn + group.rank();
      group.all_gather(*stream, mine, whole);

      for (std::int64_t i = 0; i < whole.count(); ++i)
        ASSERT_EQ(whole.span<std::int32_t>()[static_cast<std::size_t>(i)], 10 * turn + i / 100);
      barrier(group, *stream);  // all have read it
    }
    EXPECT_EQ(ledger.current_bytes(MemoryKind::parameters), 100 * bytes_of(DType::i32));
  };
  run_simulated_ranks(kRanks, as_rank, CommonMemory::of_groups);
}

TEST(SimulatedWorld, RanksWithoutCommonMemoryRefuseToAllocateIt) {
  on_simulated_ranks(2, [](Rank rank) {
    EXPECT_FALSE(rank.mesh.self().has_common_memory());
    EXPECT_THROW(rank.mesh.self().allocate_common(64, MemoryKind::parameters), CommError);
  });
}

TEST(SimulatedWorld, AnErrorOfOneRankEndsAllAndKeepsItsKind) {
  const auto body = [](Rank rank) {
    if (rank.mesh.rank() == 2) throw DataError("the file ends early");
    while (true) barrier(rank.mesh.world(), rank.stream);
  };

  EXPECT_THROW(on_simulated_ranks(3, body), DataError);
}

/// Counts threads that are over: one of a thread dies after everything that its rank has done.
struct CountsItsEnd {
  std::atomic<int>* ended = nullptr;
  ~CountsItsEnd() {
    if (ended != nullptr) ++*ended;
  }
};

TEST(SimulatedWorld, TheCauseIsThrownAlsoWhereTheRanksThatFollowItEndFirst) {
  std::atomic<int> ended{0};
  const auto body = [&](Rank rank) {
    if (rank.mesh.rank() == 2) {
      rank.mesh.world().abort("the disk is full");
      while (ended < 2) std::this_thread::yield();
      throw CapacityError("the disk is full");
    }
    thread_local CountsItsEnd end;
    end.ended = &ended;
    while (true) barrier(rank.mesh.world(), rank.stream);
  };

  EXPECT_THROW(on_simulated_ranks(3, body), CapacityError);
}

TEST(SimulatedWorld, MessagesOfAnotherSizeAreRefused) {
  const auto body = [](Rank rank) {
    std::vector<float> values(rank.mesh.rank() == 0 ? 4 : 5);
    if (rank.mesh.rank() == 0) {
      rank.mesh.world().send(rank.stream, view_of(values), 1);
    } else {
      rank.mesh.world().receive(rank.stream, view_of(values), 0);
    }
  };

  EXPECT_THROW(on_simulated_ranks(2, body), CommError);
}

TEST(SimulatedWorld, RefusesZeroRanks) { EXPECT_THROW(SimulatedWorld(0), ConfigError); }

}  // namespace
}  // namespace ferula
