// The processor as a GPU: what it must notice of a kernel that is wrong.
#include "grid.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace ferula::emulated {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

void run(unsigned blocks, unsigned threads, std::size_t shared_bytes, const std::function<void()>& kernel) {
  run_grid({.grid = dim3(blocks), .block = dim3(threads), .shared_bytes = shared_bytes, .kernel = [&] {
              note_previous_awaited();
              kernel();
            }});
}

std::string fault_of(unsigned threads, std::size_t shared_bytes, const std::function<void()>& kernel) {
  try {
    run(1, threads, shared_bytes, kernel);
  } catch (const KernelFault& fault) {
    return fault.what();
  }
  return "none";
}

class EmulatedGrid : public testing::TestWithParam<Order> {
 protected:
  void SetUp() override { set_order(GetParam()); }
  void TearDown() override { set_order(Order::forwards); }
};

void add_all(const unsigned (&given)[kLanes], unsigned (&taken)[kLanes]) {
  unsigned sum = 0;
  for (const unsigned each : given) sum += each;
  for (unsigned& each : taken) each = sum;
}

TEST_P(EmulatedGrid, RunsEveryThreadOfEveryBlockOnce) {
  std::array<int, 3 * 40> seen{};
  run(3, 40, 0, [&] { ++seen[here().block.x * 40 + here().thread.x]; });

  EXPECT_THAT(seen, testing::Each(1));
}

TEST_P(EmulatedGrid, ABarrierShowsWhatOtherThreadsWrote) {
  std::array<int, 64> written{}, read{};
  run(1, 64, 0, [&] {
    const unsigned me = here().thread.x;
    written[me] = static_cast<int>(me) + 1;
    await_block();
    read[me] = written[63 - me];
  });

  for (int index = 0; index < 64; ++index) EXPECT_EQ(read[static_cast<std::size_t>(index)], 64 - index);
}

TEST_P(EmulatedGrid, LanesOfAWarpTakeStepsTogether) {
  std::array<unsigned, 64> sums{};
  run(1, 64, 0, [&] {
    unsigned value = here().thread.x;
    for (int step = 0; step < 3; ++step) value = together<unsigned, unsigned, add_all>(kEveryLane, value);
    sums[here().thread.x] = value;
  });

  EXPECT_THAT(std::vector<unsigned>(sums.begin(), sums.begin() + 32), testing::Each(496u * 32 * 32));
  EXPECT_THAT(std::vector<unsigned>(sums.begin() + 32, sums.end()), testing::Each(1520u * 32 * 32));
}

TEST_P(EmulatedGrid, LanesThatPartAreAFault) {
  const auto step = [](unsigned mask) { together<unsigned, unsigned, add_all>(mask, 1); };

  EXPECT_THAT(fault_of(32, 0, [&] { here().thread.x == 5 ? void() : step(kEveryLane); }),
              AnyOf(HasSubstr("a lane has ended"), HasSubstr("lost lanes")));
  EXPECT_THAT(fault_of(16, 0, [&] { step(kEveryLane); }), HasSubstr("lost lanes"));
  EXPECT_THAT(fault_of(32, 0, [&] { step(0xffffu); }), HasSubstr("some lanes"));
}

TEST_P(EmulatedGrid, ThreadsThatWaitForEverAreAFault) {
  EXPECT_THAT(fault_of(64, 0,
                       [] {
                         here().thread.x < 32
                             ? await_block()
                             : void(together<unsigned, unsigned, add_all>(kEveryLane, here().thread.x == 32));
                       }),
              "none");
  EXPECT_THAT(fault_of(32, 0,
                       [] {
                         if (here().thread.x < 16) await_block();
                         together<unsigned, unsigned, add_all>(kEveryLane, 1);
                       }),
              HasSubstr("wait for each other"));
}

TEST_P(EmulatedGrid, CopiesIntoSharedMemoryComeWhenTheyAreWaitedFor) {
  const std::array<unsigned, 4> source{1, 2, 3, 4};
  std::array<unsigned, 2> seen{};
  run(1, 1, 32, [&] {
    const auto* shared = reinterpret_cast<const unsigned*>(shared_memory());
    copy_later(16, source.data(), 16);
    seen[0] = shared[7];
    make_copies();
    seen[1] = shared[7];
  });

  EXPECT_EQ(seen[0], 0xffffffffu);
  EXPECT_EQ(seen[1], 4u);
}

TEST_P(EmulatedGrid, PlacesOutsideOfSharedMemoryAreAFault) {
  EXPECT_THAT(fault_of(1, 32, [] { shared_at(32, 4); }), HasSubstr("4 bytes at 32 of 32 bytes of shared memory"));
  EXPECT_THAT(fault_of(1, 32, [] { shared_at(8, 16); }), HasSubstr("16 bytes at 8"));
  EXPECT_THAT(fault_of(1, 32,
                       [] {
                         int elsewhere = 0;
                         shared_offset(&elsewhere);
                       }),
              HasSubstr("outside"));
}

TEST_P(EmulatedGrid, AKernelThatDoesNotWaitForTheOneBeforeIsAFault) {
  EXPECT_THROW(run_grid({.grid = dim3(1), .block = dim3(1), .kernel = [] {}}), KernelFault);
}

TEST_P(EmulatedGrid, GoesOnAfterAFault) {
  EXPECT_EQ(fault_of(64, 0,
                     [] {
                       await_block();
                       trap("as asked");
                     }),
            "as asked");
  int ran = 0;
  run(2, 64, 0, [&] {
    await_block();
    ++ran;
  });
  EXPECT_EQ(ran, 128);
}

INSTANTIATE_TEST_SUITE_P(All, EmulatedGrid, testing::Values(Order::forwards, Order::backwards, Order::shuffled));

}  // namespace
}  // namespace ferula::emulated
