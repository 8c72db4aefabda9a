// What every rank gets, and what becomes of errors, with ranks that are threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "app/launch/stop_signals.hpp"
#include "app/rank_context.hpp"
#include "checkpoint/agreement.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class RunOnRanks : public testing::Test {
 protected:
  Invocation invocation(int ranks) const {
    return {.command = "ferula test", .ranks = ranks, .kind = RankKind::simulated, .stop = &stop_};
  }
  static RankSettings settings(int ranks, Overlap overlap) { return {.shape = {.shard = ranks}, .overlap = overlap}; }
  NoStopRequest stop_;
};

TEST_F(RunOnRanks, EveryRankRunsOnceAndTheirCollectivesMeet) {
  for (const Overlap overlap : {Overlap::off, Overlap::on}) {
    std::atomic<int> sum{0};

    const ExitCode code = run_on_ranks(invocation(3), settings(3, overlap), [&](RankContext& context) {
      const double ranks = agree_sum(context.mesh.world(), context.execution.communication, context.mesh.rank());
      sum += static_cast<int>(ranks);
      return context.mesh.rank() == 0 ? ExitCode::resume_me : ExitCode::done;
    });

    EXPECT_EQ(sum, 9);  // 0 + 1 + 2, seen by three ranks
    EXPECT_EQ(code, ExitCode::resume_me);
  }
}

TEST_F(RunOnRanks, RanksCountTheirOwnMemory) {
  run_on_ranks(invocation(2), settings(2, Overlap::off), [&](RankContext& context) {
    const std::int64_t mine = 1000 * (context.mesh.rank() + 1);
    const Buffer buffer = context.execution.device.allocate(mine, MemoryKind::optimizer);
    EXPECT_EQ(context.ledger().current_bytes(MemoryKind::optimizer), mine);
    return ExitCode::done;
  });
}

TEST_F(RunOnRanks, OneRankAloneNeedsNoOthers) {
  Invocation alone = invocation(1);
  alone.kind = RankKind::alone;

  const ExitCode code = run_on_ranks(alone, settings(1, Overlap::on), [](RankContext& context) {
    EXPECT_EQ(context.mesh.size(), 1);
    EXPECT_GE(context.threads, 1);
    return ExitCode::done;
  });

  EXPECT_EQ(code, ExitCode::done);
}

TEST_F(RunOnRanks, AnErrorOfOneRankEndsTheOthersInTheirCollectives) {
  for (const Overlap overlap : {Overlap::off, Overlap::on}) {
    try {
      run_on_ranks(invocation(3), settings(3, overlap), [](RankContext& context) {
        if (context.mesh.rank() == 1) throw CapacityError("the disk is full");
        for (;;) barrier(context.mesh.world(), context.execution.communication);
        return ExitCode::done;
      });
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("rank 1 of 3"), HasSubstr("the disk is full")));
      EXPECT_EQ(error.code(), ExitCode::does_not_fit);
    }
  }
}

TEST_F(RunOnRanks, ASideStreamIsIdleBeforeTheMemoryGoesWithAnError) {
  std::atomic<bool> at_work{false}, is_over{false};
  const auto fail = [&](RankContext& context) {
    if (context.mesh.rank() == 0) {
      while (!is_over) std::this_thread::yield();  // and never comes to the collective
      return ExitCode::done;
    }
    context.execution.communication.run([&] {
      struct Work {
        std::atomic<bool>& flag;
        ~Work() { flag = false; }
      } const work{at_work};
      at_work = true;
      agree_sum(context.mesh.world(), context.execution.compute, 1.0);
    });
    while (!at_work) std::this_thread::yield();
    try {
      throw CapacityError("the disk is full");
    } catch (...) {
      context.end_collectives();
      EXPECT_FALSE(at_work);
      is_over = true;
      throw;
    }
  };

  EXPECT_THROW(run_on_ranks(invocation(2), settings(2, Overlap::on), fail), CapacityError);
}

TEST_F(RunOnRanks, AnErrorThatAllAgreedOnIsOfNoRank) {
  const auto fail = [](RankContext& context) {
    const Outcome mine = outcome_of([] { throw DataError("too short"); });
    require(agree(context.mesh.world(), context.execution.communication, mine));
    return ExitCode::done;
  };

  EXPECT_THAT([&] { run_on_ranks(invocation(3), settings(3, Overlap::off), fail); },
              testing::ThrowsMessage<DataError>("too short"));
}

TEST_F(RunOnRanks, TheLogOfTheFirstRankEndsWithTheErrorWhoeverHadIt) {
  for (const int failing : {0, 1}) {
    const ScratchDirectory scratch;
    const auto fail = [&](RankContext& context) {
      context.log.open_file(scratch.path("log.txt"));
      if (context.mesh.rank() == failing) throw CapacityError("the disk is full");
      for (;;) barrier(context.mesh.world(), context.execution.communication);
      return ExitCode::done;
    };

    EXPECT_THROW(run_on_ranks(invocation(3), settings(3, Overlap::off), fail), Error);

    std::ifstream log(scratch.path("log.txt"));
    const std::string text{std::istreambuf_iterator<char>(log), {}};
    EXPECT_THAT(text, AllOf(HasSubstr("  error: "), HasSubstr("the disk is full")));
  }
}

TEST_F(RunOnRanks, AShapeOfAnotherSizeIsRefused) {
  EXPECT_THROW(run_on_ranks(invocation(2), settings(3, Overlap::off), [](RankContext&) { return ExitCode::done; }),
               ConfigError);
}

}  // namespace
}  // namespace ferula
