// What becomes of an error of one rank on all of them.
#include "checkpoint/agreement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>

#include "checkpoint_run.hpp"

namespace ferula {
namespace {

using testing::HasSubstr;

/// Rank 1 of three fails with `error`; what all ranks agree on must be the same.
Outcome agreed_after(const std::function<void()>& error) {
  std::vector<Outcome> outcomes(3);
  run_fake_ranks(3, [&](FakeRank& rank) {
    outcomes[static_cast<std::size_t>(rank.rank)] =
        agree(rank.world, rank.stream, rank.rank == 1 ? outcome_of(error) : Outcome{});
  });
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.severity, outcomes[0].severity);
    EXPECT_EQ(outcome.problem, outcomes[0].problem);
    EXPECT_EQ(outcome.code, outcomes[0].code);
  }
  return outcomes[0];
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

TEST(Agreement, TheExitCodeOfTheErrorReachesAllRanks) {
  EXPECT_EQ(code_after([] {}), ExitCode::done);
  EXPECT_EQ(code_after([] { throw CapacityError("full"); }), ExitCode::does_not_fit);
  EXPECT_EQ(code_after([] { throw std::bad_alloc(); }), ExitCode::does_not_fit);
  EXPECT_EQ(code_after([] { throw ConfigError("wrong"); }), ExitCode::usage);
  EXPECT_EQ(code_after([] { throw DataError("bad"); }), ExitCode::failed);
  EXPECT_EQ(code_after([] { throw DamageError("torn"); }), ExitCode::failed);
}

TEST(Agreement, NamesTheRankAndCutsLongTexts) {
  EXPECT_EQ(agreed_after([] { throw DataError("bad"); }).problem, "rank 1 of 3: bad");
  EXPECT_EQ(agreed_after([] { throw DataError(std::string(5000, 'x')); }).problem,
            "rank 1 of 3: " + std::string(1000, 'x'));
}

TEST(Agreement, AFailureIsWorseThanDamage) {
  EXPECT_EQ(agreed_after([] { throw DamageError("torn"); }).severity, Severity::damage);
  EXPECT_EQ(agreed_after([] { throw DataError("bad"); }).severity, Severity::failure);
}

}  // namespace
}  // namespace ferula
