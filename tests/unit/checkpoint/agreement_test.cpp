// What becomes of an error of one rank on all of them.
#include "checkpoint/agreement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <thread>

#include "checkpoint_run.hpp"
#include "support/message_of.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;

/// Rank r does `work(r)`; what all ranks agree on must be the same.
Outcome agreed_on(int ranks, const std::function<void(int)>& work) {
  std::vector<Outcome> outcomes(static_cast<std::size_t>(ranks));
  run_fake_ranks(ranks, [&](FakeRank& rank) {
    outcomes[static_cast<std::size_t>(rank.rank)] =
        agree(rank.world, rank.stream, outcome_of([&] { work(rank.rank); }));
  });
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.severity, outcomes[0].severity);
    EXPECT_EQ(outcome.problem, outcomes[0].problem);
    EXPECT_EQ(outcome.code, outcomes[0].code);
  }
  return outcomes[0];
}

/// Rank 1 of three fails with `error`.
Outcome agreed_after(const std::function<void()>& error) {
  return agreed_on(3, [&](int rank) {
    if (rank == 1) error();
  });
}

ExitCode code_after(const std::function<void()>& error) {
  try {
    require(agreed_after(error));
  } catch (const Error& thrown) {
    EXPECT_TRUE(thrown.is_shared());
    return thrown.code();
  }
  return ExitCode::done;
}

// Rank 0 alone tokenizes texts and verifies files, which takes longer than any collective may.
TEST(Agreement, OthersWaitForOneRanksWorkWithoutALimitAndForCollectivesWithIt) {
  std::array<std::string, 2> told;
  std::atomic<bool> has_given_up{false};
  run_fake_ranks(2, [&](FakeRank& rank) {
    rank.world.set_timeout(std::chrono::milliseconds(50));
    EXPECT_TRUE(agree(rank.world, rank.stream, outcome_of([&] {
                        if (rank.rank == 0) std::this_thread::sleep_for(std::chrono::milliseconds(300));
                      }))
                    .good());
    while (rank.rank == 0 && !has_given_up) std::this_thread::yield();
    told[static_cast<std::size_t>(rank.rank)] = test::message_of<CommError>([&] { barrier(rank.world, rank.stream); });
    has_given_up = true;
  });

  EXPECT_THAT(told[1], HasSubstr("waited 0.1 s for rank 0"));
  EXPECT_THAT(told[0], HasSubstr("waited 0.1 s for rank 0"));
}

TEST(Agreement, TheExitCodeOfTheErrorReachesAllRanks) {
  EXPECT_EQ(code_after([] {}), ExitCode::done);
  EXPECT_EQ(code_after([] { throw CapacityError("full"); }), ExitCode::does_not_fit);
  EXPECT_EQ(code_after([] { throw std::bad_alloc(); }), ExitCode::does_not_fit);
  EXPECT_EQ(code_after([] { throw ConfigError("wrong"); }), ExitCode::usage);
  EXPECT_EQ(code_after([] { throw DataError("bad"); }), ExitCode::failed);
  EXPECT_EQ(code_after([] { throw DamageError("torn"); }), ExitCode::failed);
}

TEST(Agreement, NamesTheRankThatFailed) {
  EXPECT_EQ(agreed_after([] { throw DataError("bad"); }).problem, "rank 1 of 3: bad");
  EXPECT_EQ(agreed_on(3, [](int rank) { throw DataError(fmt::format("bad {}", rank)); }).problem, "rank 2 of 3: bad 2");
}

TEST(Agreement, WhatAllRanksFindAlikeNamesNone) {
  for (const int ranks : {1, 3})
    EXPECT_EQ(agreed_on(ranks, [](int) { throw DataError("too short"); }).problem, "too short");
}

TEST(Agreement, LongTextsComeWithTheAdviceAtTheirEnd) {
  const std::string text = std::string(20'000, 'x') + "; do this";
  EXPECT_EQ(agreed_after([&] { throw DataError(text); }).problem, "rank 1 of 3: " + text);
  for (const int ranks : {1, 3}) EXPECT_EQ(agreed_on(ranks, [&](int) { throw DataError(text); }).problem, text);
  EXPECT_EQ(agreed_on(1, [](int) { throw DataError(std::string(100'000, 'x')); }).problem.size(), kMostTextBytes);
}

TEST(Agreement, AnErrorWithoutATextIsStillAnError) {
  EXPECT_EQ(agreed_after([] { throw DataError(""); }).severity, Severity::failure);
}

TEST(Agreement, AFailureIsWorseThanDamage) {
  EXPECT_EQ(agreed_after([] { throw DamageError("torn"); }).severity, Severity::damage);
  EXPECT_EQ(agreed_after([] { throw DataError("bad"); }).severity, Severity::failure);
}

}  // namespace
}  // namespace ferula
