// Collectives, messages and failures of ranks that are threads.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "comm_fixture.hpp"

namespace ferula {
namespace {

using test::on_simulated_ranks;
using test::Rank;
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

class SimulatedRanks : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, SimulatedRanks, ::testing::Values(1, 2, 3, 4));

TEST_P(SimulatedRanks, AllReduceSumsInRankOrder) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    for (const std::size_t count : {0u, 1u, 3u, 7u, 5003u}) {
      std::vector<float> values = operand_of(rank.mesh.rank(), count);
      rank.mesh.world().all_reduce(rank.stream, view_of(values), ReduceOp::sum);
      for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(values[i], sum_at(rank.mesh.size(), i));
    }
  });
}

TEST_P(SimulatedRanks, ReduceScatterInPlaceAndApartGiveTheSamePart) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    const auto ranks = static_cast<std::size_t>(rank.mesh.size());
    const auto me = static_cast<std::size_t>(rank.mesh.rank());
    const std::size_t part = 997;
    std::vector<float> whole = operand_of(rank.mesh.rank(), part * ranks), again = whole, apart(part);
    const TensorView inside = view_of(again).range(static_cast<std::int64_t>(me * part), part);

    rank.mesh.world().reduce_scatter(rank.stream, view_of(whole), view_of(apart), ReduceOp::sum);
    rank.mesh.world().reduce_scatter(rank.stream, view_of(again), inside, ReduceOp::sum);

    for (std::size_t i = 0; i < part; ++i) {
      ASSERT_EQ(apart[i], sum_at(rank.mesh.size(), me * part + i));
      ASSERT_EQ(inside.span<float>()[i], apart[i]);
    }
  });
}

TEST_P(SimulatedRanks, AllGatherAndBroadcastMoveAnyElementType) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    const auto ranks = static_cast<std::size_t>(rank.mesh.size());
    std::vector<std::uint8_t> shard(13, static_cast<std::uint8_t>(rank.mesh.rank() + 1)), whole(13 * ranks);
    std::vector<std::int64_t> number{rank.mesh.rank() * 100};

    rank.mesh.world().all_gather(rank.stream, view_of(shard), view_of(whole));
    rank.mesh.world().broadcast(rank.stream, view_of(number), rank.mesh.size() - 1);

    for (std::size_t i = 0; i < whole.size(); ++i) ASSERT_EQ(whole[i], i / 13 + 1);
    EXPECT_EQ(number[0], (rank.mesh.size() - 1) * 100);
  });
}

TEST_P(SimulatedRanks, SumsOfBf16AreRoundedOnce) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    std::vector<bf16> values{bf16(rank.mesh.rank() == 0 ? 256.0f : 0.9f)};
    rank.mesh.world().all_reduce(rank.stream, view_of(values), ReduceOp::sum);

    const float exact = 256.0f + 0.9f * static_cast<float>(rank.mesh.size() - 1);
    EXPECT_EQ(values[0], bf16(256.0f + static_cast<float>(bf16(0.9f)) * static_cast<float>(rank.mesh.size() - 1)));
    EXPECT_NEAR(static_cast<float>(values[0]), exact, 1.0f);  // half a unit in the last place at 256
  });
}

TEST_P(SimulatedRanks, GroupedMessagesGoRoundARing) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    const int ranks = rank.mesh.size();
    if (ranks == 1) return;
    const int next = (rank.mesh.rank() + 1) % ranks, before = (rank.mesh.rank() + ranks - 1) % ranks;
    std::vector<float> first = operand_of(rank.mesh.rank(), 1001), second(1, 7.0f), got(1001), flag(1);
    Communicator& world = rank.mesh.world();

    world.group_begin();
    world.send(rank.stream, view_of(first), next);
    world.send(rank.stream, view_of(second), next);
    world.receive(rank.stream, view_of(got), before);
    world.receive(rank.stream, view_of(flag), before);
    world.group_end();

    EXPECT_EQ(got, operand_of(before, 1001));
    EXPECT_EQ(flag[0], 7.0f);
  });
}

TEST_P(SimulatedRanks, CollectivesOnASideStreamKeepTheOrder) {
  on_simulated_ranks(GetParam(), [](Rank rank) {
    const std::unique_ptr<Stream> side = rank.device.make_side_stream("collectives");
    std::vector<double> values{1.0};
    for (int round = 0; round < 20; ++round) rank.mesh.world().all_reduce(*side, view_of(values), ReduceOp::sum);
    side->synchronize();

    double expected = 1.0;
    for (int round = 0; round < 20; ++round) expected *= rank.mesh.size();
    EXPECT_EQ(values[0], expected);
  });
}

template <class Body>
std::string message_of(Body body) {
  try {
    body();
  } catch (const CommError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(SimulatedWorld, AMissingRankIsNamedAfterTheTimeout) {
  const std::string message = message_of([] {
    on_simulated_ranks({.shard = 3}, {.timeout = std::chrono::milliseconds(100)}, [](Rank rank) {
      if (rank.mesh.rank() == 0) barrier(rank.mesh.world(), rank.stream);
    });
  });

  EXPECT_NE(message.find("all_reduce of group 'world'"), std::string::npos) << message;
  EXPECT_NE(message.find("for rank 1 ("), std::string::npos) << message;
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

TEST(SimulatedWorld, AbortReachesWaitingRanksWithItsReason) {
  on_simulated_ranks(3, [](Rank rank) {
    if (rank.mesh.rank() == 0) {
      rank.mesh.world().abort("the disk is full");
      return;
    }
    const std::string message = message_of([&] { barrier(rank.mesh.world(), rank.stream); });
    EXPECT_NE(message.find("rank 0"), std::string::npos) << message;
    EXPECT_NE(message.find("the disk is full"), std::string::npos) << message;
  });
}

TEST(SimulatedWorld, DifferentCallsAreAnErrorOnEveryRank) {
  on_simulated_ranks(3, [](Rank rank) {
    std::vector<float> values(rank.mesh.rank() == 2 ? 6 : 3);
    const std::string message =
        message_of([&] { rank.mesh.world().all_reduce(rank.stream, view_of(values), ReduceOp::sum); });
    EXPECT_NE(message.find("f32 × 3"), std::string::npos) << message;
    EXPECT_NE(message.find("f32 × 6"), std::string::npos) << message;
  });
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
