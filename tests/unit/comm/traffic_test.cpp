// What the ledger of traffic counts, and what the checking decorator reports.
#include "comm/traffic.hpp"

#include <gtest/gtest.h>

#include "comm_fixture.hpp"

namespace ferula {
namespace {

using test::message_of;
using test::on_simulated_ranks;
using test::Rank;
using test::view_of;

TEST(Traffic, CountsWholeTensorsAndAnAllReduceTwice) {
  on_simulated_ranks(2, [](Rank rank) {
    std::vector<float> whole(10), shard(5);
    Communicator& group = rank.mesh.shard();
    group.all_reduce(rank.stream, view_of(whole), ReduceOp::sum);
    group.all_gather(rank.stream, view_of(shard), view_of(whole));
    group.reduce_scatter(rank.stream, view_of(whole), view_of(shard), ReduceOp::sum);
    group.broadcast(rank.stream, view_of(whole), 0);

    const TrafficLedger& traffic = rank.mesh.traffic();
    EXPECT_EQ(traffic.of(Collective::all_reduce).elements, 20);
    EXPECT_EQ(traffic.of(Collective::all_gather).elements, 10);
    EXPECT_EQ(traffic.of(Collective::reduce_scatter).bytes, 40);
    EXPECT_EQ(traffic.of(Collective::broadcast).calls, 1);
    EXPECT_EQ(traffic.total().elements, 50);
    EXPECT_GT(traffic.total().seconds, 0.0);
  });
}

TEST(Traffic, IsListedBySizeWithItsBandwidths) {
  on_simulated_ranks(4, [](Rank rank) {
    std::vector<float> whole(20), shard(5);
    Communicator& group = rank.mesh.shard();
    for (int call = 0; call < 3; ++call) group.all_reduce(rank.stream, view_of(whole), ReduceOp::sum);
    group.all_gather(rank.stream, view_of(shard), view_of(whole));
    group.all_reduce(rank.stream, view_of(shard), ReduceOp::sum);

    const std::vector<SizedTraffic> sizes = rank.mesh.traffic().by_size();

    ASSERT_EQ(sizes.size(), 3u);
    EXPECT_EQ(sizes[0].bytes, 20);
    EXPECT_EQ(sizes[1].bytes, 80);
    EXPECT_EQ(sizes[1].calls, 3);
    EXPECT_EQ(sizes[1].ranks, 4);
    EXPECT_EQ(sizes[2].collective, Collective::all_gather);
  });
}

TEST(Traffic, BandwidthsFollowTheFactorsOfNcclTests) {
  const auto bus = [](Collective collective) {
    const SizedTraffic traffic{.collective = collective, .ranks = 4, .bytes = 100, .calls = 2, .seconds = 0.5};
    EXPECT_DOUBLE_EQ(traffic.algorithm_bandwidth(), 400.0);
    return traffic.bus_bandwidth();
  };

  EXPECT_DOUBLE_EQ(bus(Collective::all_reduce), 600.0);
  EXPECT_DOUBLE_EQ(bus(Collective::all_gather), 300.0);
  EXPECT_DOUBLE_EQ(bus(Collective::reduce_scatter), 300.0);
  EXPECT_DOUBLE_EQ(bus(Collective::broadcast), 400.0);
  EXPECT_EQ(SizedTraffic{}.algorithm_bandwidth(), 0.0);
}

TEST(Traffic, MessagesCountWhereTheyAreSent) {
  on_simulated_ranks(2, [](Rank rank) {
    std::vector<float> values(3), others(3);
    Communicator& group = rank.mesh.world();
    const int other = 1 - rank.mesh.rank();
    group.group_begin();
    if (rank.mesh.rank() == 0) group.send(rank.stream, view_of(values), other);
    if (rank.mesh.rank() == 1) group.receive(rank.stream, view_of(others), other);
    group.group_end();

    EXPECT_EQ(rank.mesh.traffic().of(Collective::point_to_point).elements, rank.mesh.rank() == 0 ? 3 : 0);
  });
}

TEST(Traffic, ItsCollectivesHaveNames) {
  for (std::size_t each = 0; each < kCollectives; ++each) {
    const auto collective = static_cast<Collective>(each);
    EXPECT_EQ(collective_named(name_of(collective)), collective);
  }
  EXPECT_EQ(collective_named("all_to_all"), std::nullopt);
}

TEST(Traffic, AnObserverHearsOfEachCallUntilItIsTakenAway) {
  TrafficLedger ledger;
  std::vector<SizedTraffic> heard;
  ledger.observe([&](const SizedTraffic& call) { heard.push_back(call); });

  ledger.add(Collective::all_reduce, 20, 80, 0.5, 4);
  ledger.add(Collective::all_reduce, 20, 80, 0.25, 4);
  ledger.observe({});
  ledger.add(Collective::broadcast, 10, 40, 0.1, 2);

  ASSERT_EQ(heard.size(), 2u);
  EXPECT_EQ(heard[1].bytes, 40) << "the tensor, once";
  EXPECT_EQ(heard[1].calls, 1);
  EXPECT_EQ(heard[1].seconds, 0.25);
  EXPECT_EQ(ledger.total().calls, 3);
}

TEST(Traffic, GroupsOfOneCountNothing) {
  on_simulated_ranks(2, [](Rank rank) {
    std::vector<float> values(8), copy(8);
    rank.mesh.self().all_reduce(rank.stream, view_of(values), ReduceOp::sum);
    rank.mesh.replica().all_gather(rank.stream, view_of(values), view_of(copy));

    EXPECT_EQ(rank.mesh.traffic().total().calls, 0);
  });
}

TEST(CheckedCollectives, ADifferenceNamesBothRanksAndBothOperationsEverywhere) {
  const MeshOptions options{.check_collectives = true, .timeout = std::chrono::seconds(60)};
  on_simulated_ranks({.shard = 3}, options, [](Rank rank) {
    std::vector<float> values(6), part(2);
    Communicator& group = rank.mesh.shard();
    group.all_reduce(rank.stream, view_of(values), ReduceOp::max);  // equal calls pass
    const std::string message = message_of<CommError>([&] {
      if (rank.mesh.rank() == 1) {
        group.reduce_scatter(rank.stream, view_of(values), view_of(part), ReduceOp::sum);
      } else {
        group.all_reduce(rank.stream, view_of(values), ReduceOp::sum);
      }
    });

    EXPECT_NE(message.find("rank 0 called all_reduce(f32 × 6, sum)"), std::string::npos) << message;
    EXPECT_NE(message.find("rank 1 called reduce_scatter(f32 × 6, sum)"), std::string::npos) << message;
    EXPECT_NE(message.find("group 'shard'"), std::string::npos) << message;
  });
}

TEST(CheckedCollectives, AnotherRootOrReductionIsADifference) {
  const MeshOptions options{.check_collectives = true, .timeout = std::chrono::seconds(60)};
  on_simulated_ranks({.shard = 2}, options, [](Rank rank) {
    std::vector<float> values(6);
    const std::string message =
        message_of<CommError>([&] { rank.mesh.shard().broadcast(rank.stream, view_of(values), rank.mesh.rank()); });
    EXPECT_NE(message.find("root 0"), std::string::npos) << message;
    EXPECT_NE(message.find("root 1"), std::string::npos) << message;
  });
}

TEST(CheckedCollectives, TheirOwnExchangeIsNotCounted) {
  on_simulated_ranks({.shard = 2}, {.check_collectives = true}, [](Rank rank) {
    std::vector<float> values(6);
    rank.mesh.shard().all_reduce(rank.stream, view_of(values), ReduceOp::sum);

    EXPECT_EQ(rank.mesh.traffic().total().calls, 1);
    EXPECT_EQ(rank.mesh.traffic().total().elements, 12);
  });
}

}  // namespace
}  // namespace ferula
