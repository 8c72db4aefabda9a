// Meetings of ranks and what ends them, one step at a time.
#include "comm/group_channel.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "comm/aborted_error.hpp"
#include "support/message_of.hpp"

namespace ferula {
namespace {

using test::message_of;

/// The two ends of a group whose ranks are played in turn.
struct TwoRanks {
  static GroupIdentity identity_of(int rank) {
    return {.axis = "world", .rank = rank, .members = {{.world_rank = 0, .host = "a"}, {.world_rank = 1, .host = "b"}}};
  }
  std::array<RankBlock, 2> blocks;
  std::array<GroupIdentity, 2> identities{identity_of(0), identity_of(1)};
  MeetingTimes times;
  GroupChannel first{identities[0], {blocks.data(), &blocks[1]}, times};
  GroupChannel second{identities[1], {blocks.data(), &blocks[1]}, times};

  /// Both look after so many bytes.
  void look(std::int64_t bytes) {
    std::thread other([&] { second.look_how_far("broadcast", bytes); });
    first.look_how_far("broadcast", bytes);
    other.join();
  }
};

TEST(GroupChannel, ARankThatGaveUpBeforeAnAnnouncedCollectiveIsNotTakenForComing) {
  TwoRanks ranks;
  ranks.second.announce("barrier", 0);  // comes before anything is wrong
  ranks.first.abort("the disk is full");

  const std::string own = message_of<AbortedError>([&] { ranks.first.announce("barrier", 0); });
  const std::string told = message_of<AbortedError>([&] { ranks.second.await_announcement(0, "barrier"); });

  EXPECT_NE(own.find("the disk is full"), std::string::npos) << own;
  EXPECT_NE(told.find("the disk is full"), std::string::npos) << told;
}

TEST(GroupChannel, AnAnnouncementThatCameBeforeTheAbortCompletesItsCollective) {
  TwoRanks ranks;
  ranks.first.announce("barrier", 0);
  ranks.second.announce("barrier", 0);
  ranks.first.abort("the disk is full");

  EXPECT_NO_THROW(ranks.second.await_announcement(0, "barrier"));
  EXPECT_THROW(ranks.second.announce("barrier", 0), AbortedError);
}

TEST(GroupChannel, LooksHowFarTheRanksAreOnceInAWhileAndLeavesTheParityOfMeetings) {
  TwoRanks ranks;
  const auto look = [&](std::int64_t bytes) {
    ranks.look(bytes);
    EXPECT_EQ(ranks.first.meetings(), ranks.second.meetings());
    return ranks.first.meetings();
  };

  const std::uint32_t first = look(1 << 10);
  EXPECT_GT(first, 0U) << "nothing was known";
  EXPECT_EQ(first % 2, 0U);
  EXPECT_EQ(look(1 << 20), first) << "it was looked at lately";
  EXPECT_EQ(look(3 << 20), 2 * first) << "much has passed";
}

TEST(GroupChannel, RanksAreFarWhereMeetingsTakeLongerThanThroughACacheAndLessThanOnOneCore) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const auto are_far = [](const MeetingTimes& times) {
    TwoRanks ranks{.times = times};
    ranks.look(0);
    EXPECT_EQ(ranks.first.are_ranks_far(), ranks.second.are_ranks_far());
    return ranks.first.are_ranks_far();
  };

  EXPECT_TRUE(are_far({.between_caches_s = 0, .on_one_core_s = kNever}));
  EXPECT_FALSE(are_far({.between_caches_s = 60, .on_one_core_s = kNever}));
  EXPECT_FALSE(are_far({.between_caches_s = 0, .on_one_core_s = 1e-12}));
}

}  // namespace
}  // namespace ferula
