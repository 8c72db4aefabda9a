// What a run says of its collectives: the rows of all ranks, what stragglers cost, and the file.
#include "train/comms_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "support/rank_parts.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr std::int64_t kBytes = 1 << 20;

TEST(CommsReport, TellsHowLongTheFastestRankWouldHaveWaitedLess) {
  const SizedTraffic slow{Collective::all_reduce, 2, kBytes, 4, 0.010},
      fast{Collective::all_reduce, 2, kBytes, 4, 0.002};

  const std::string table = comms_table({{slow}, {fast}});

  // 8 calls in 12 ms; the fastest rank needed 2 ms for its 4, the mean rank 6: 1 ms a call for the last one. Of 1 MiB
  // in 1.5 ms, and 2 (n − 1) / n = 1 times that for an all-reduce between two.
  EXPECT_THAT(table, ContainsRegex("all_reduce +2 +1.00 MiB +4 +1.500 +1.000 +5.59 +5.59"));
}

TEST(CommsReport, KeepsWhatOnlyOneRankDid) {
  const SizedTraffic gather{Collective::all_gather, 4, kBytes, 1, 0.001};

  EXPECT_THAT(comms_table({{}, {gather}, {}, {}}),
              ContainsRegex("all_gather +4 +1.00 MiB +1 +1.000 +0.000 +8.39 +6.29"));
}

TEST(CommsReport, TheFileHasARowOfEachRankAndSize) {
  const std::string csv =
      comms_csv({{{Collective::broadcast, 2, 64, 3, 0.5}}, {{Collective::broadcast, 2, 64, 3, 0.25}}});

  EXPECT_EQ(csv,
            "rank,op,ranks,bytes,calls,seconds,algbw_gbps,busbw_gbps\n"
            "0,broadcast,2,64,3,0.500000,0.0000,0.0000\n"
            "1,broadcast,2,64,3,0.250000,0.0000,0.0000\n");
}

TEST(CommsReport, EveryRankLearnsWhatTheOthersExchanged) {
  test::on_ranks({.shard = 3}, [](test::RankParts& rank) {
    std::vector<float> values(5, 1.0f);
    const TensorView view(reinterpret_cast<std::byte*>(values.data()), DType::f32, {5});
    rank.mesh.world().all_reduce(*rank.communication, view, ReduceOp::sum);
    rank.communication->synchronize();

    const std::vector<RankTraffic> ranks = gather_traffic(rank.mesh, rank.execution);

    ASSERT_THAT(ranks, SizeIs(3));
    for (const RankTraffic& each : ranks) {
      ASSERT_THAT(each, Not(testing::IsEmpty()));
      const auto reduced = std::ranges::find(each, 20, &SizedTraffic::bytes);
      ASSERT_NE(reduced, each.end());
      EXPECT_EQ(reduced->collective, Collective::all_reduce);
      EXPECT_EQ(reduced->ranks, 3);
      EXPECT_EQ(reduced->calls, 1);
      EXPECT_GT(reduced->seconds, 0.0);
    }
  });
}

TEST(CommsReport, RanksThatExchangedNothingHaveNoRows) {
  test::on_ranks({}, [](test::RankParts& rank) {
    EXPECT_THAT(gather_traffic(rank.mesh, rank.execution), testing::ElementsAre(testing::IsEmpty()));
  });
}

}  // namespace
}  // namespace ferula
