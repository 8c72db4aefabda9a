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

    const std::vector<RankTraffic> ranks = gather_traffic(rank.mesh, rank.execution, {});

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

TEST(CommsReport, AChoiceOfCollectivesLeavesTheOthersOut) {
  test::on_ranks({.shard = 2}, [](test::RankParts& rank) {
    barrier(rank.mesh.world(), *rank.communication);
    const auto rows = [&](Collective wanted) {
      return gather_traffic(rank.mesh, rank.execution, {.collectives = {wanted}}).at(0);
    };

    EXPECT_THAT(rows(Collective::all_reduce), Not(testing::IsEmpty()));
    EXPECT_THAT(rows(Collective::broadcast), testing::IsEmpty());
  });
}

/// What is written of so many all-reduces of 1 MiB, and as many broadcasts.
std::string told_of(int calls, const CollectiveListing& listing) {
  TrafficLedger traffic;
  Log log(LogVoice::speaks, LogConsole::plain);
  testing::internal::CaptureStdout();
  {
    const CollectiveLines lines(traffic, log, listing);
    for (int call = 0; call < calls; ++call) {
      traffic.add(Collective::all_reduce, kBytes / 2, 2 * kBytes, 0.002, 2);
      traffic.add(Collective::broadcast, kBytes / 4, kBytes, 0.0, 2);
    }
  }
  traffic.add(Collective::all_reduce, kBytes / 2, 2 * kBytes, 0.002, 2);
  return testing::internal::GetCapturedStdout();
}

TEST(CommsReport, VerboseTellsEachCallInALine) {
  EXPECT_EQ(told_of(1, {.enabled = true, .verbose = true}),
            "comm op: all_reduce | time (ms): 2.00 | msg size: 1.00 MiB | algbw (Gbps): 4.19 | busbw (Gbps): 4.19\n"
            "comm op: broadcast | time (ms): unknown, on the GPU | msg size: 1.00 MiB | algbw (Gbps): 0.00 | "
            "busbw (Gbps): 0.00\n");
  EXPECT_EQ(told_of(1, {.enabled = true}), "");
  EXPECT_EQ(told_of(1, {.enabled = false, .verbose = true}), "");
}

TEST(CommsReport, VerboseEndsAfterEnoughLinesAndKeepsToTheChoice) {
  const int limit = CollectiveLines::kMostLines;

  const std::string told =
      told_of(limit + 5, {.enabled = true, .verbose = true, .collectives = {Collective::all_reduce}});

  EXPECT_EQ(std::ranges::count(told, '\n'), limit + 1);
  EXPECT_THAT(told, AllOf(HasSubstr("1000 collectives are told"), Not(HasSubstr("broadcast"))));
}

TEST(CommsReport, RanksThatExchangedNothingHaveNoRows) {
  test::on_ranks({}, [](test::RankParts& rank) {
    EXPECT_THAT(gather_traffic(rank.mesh, rank.execution, {}), testing::ElementsAre(testing::IsEmpty()));
  });
}

}  // namespace
}  // namespace ferula
