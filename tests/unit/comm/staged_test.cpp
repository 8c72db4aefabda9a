// What staging adds to another communicator: its memory and its name.
#include "comm/staged_communicator.hpp"

#include <gtest/gtest.h>

#include "comm_fixture.hpp"

namespace ferula {
namespace {

using test::on_simulated_ranks;
using test::OnDevice;
using test::Rank;
using test::RankKind;

constexpr RankKind kTwo{.ranks = 2, .groups = RankKind::Groups::staged, .staged_bytes = 128};
constexpr RankKind kThree{.ranks = 3, .groups = RankKind::Groups::staged, .staged_bytes = 128};

TEST(Staged, SaysWhatItStages) {
  on_simulated_ranks(kTwo, [](Rank rank) {
    EXPECT_EQ(rank.mesh.world().kind(), "staged simulated");
    EXPECT_EQ(rank.mesh.self().kind(), "self");
  });
}

TEST(Staged, SaysWhyItIsNotNccl) {
  run_simulated_ranks(2, [](std::unique_ptr<Mesh::Transport> transport) {
    MemoryLedger ledger;
    test::FarDevice device(ledger);
    const DeviceTransportOptions options{.staged = {.why = "there is no libnccl.so.2"}};
    Mesh mesh(make_device_transport(std::move(transport), options), {.shard = 2}, device);

    EXPECT_EQ(mesh.world().kind(), "staged simulated (no NCCL: there is no libnccl.so.2)");
  });
}

TEST(Staged, TakesTheMemoryThatItAnnounces) {
  on_simulated_ranks(kThree, [](Rank rank) {  // world, data and shard have three ranks each
    EXPECT_EQ(rank.mesh.transit_bytes(), 3 * 128);
    EXPECT_EQ(rank.device.ledger().current_bytes(MemoryKind::buffers), rank.mesh.transit_bytes());
  });
}

TEST(Staged, CollectivesAllocateNothing) {
  on_simulated_ranks(kTwo, [](Rank rank) {
    const OnDevice<float> operand(rank.device, rank.stream, std::vector<float>(1000, 1.0f));
    const std::int64_t before = rank.device.ledger().allocations();

    rank.mesh.world().all_reduce(rank.stream, operand.view(), ReduceOp::sum);
    rank.mesh.world().broadcast(rank.stream, operand.view(), 1);

    EXPECT_EQ(operand.values(), std::vector<float>(1000, 2.0f));
    EXPECT_EQ(rank.device.ledger().allocations(), before);
  });
}

TEST(Staged, ItsBuffersAreMemoryOfTheDevice) {
  on_simulated_ranks(kTwo, [](Rank rank) {
    const Buffer buffer = rank.mesh.world().allocate(64, MemoryKind::gradients);
    EXPECT_EQ(rank.device.ledger().current_bytes(MemoryKind::gradients), 64);

    rank.mesh.world().all_reduce(rank.stream, buffer.flat(DType::i64), ReduceOp::sum);  // no segmentation fault
    rank.stream.synchronize();
  });
}

TEST(Staged, AGroupOfOneCopiesOnTheDevice) {
  on_simulated_ranks(kTwo, [](Rank rank) {
    const OnDevice<float> from(rank.device, rank.stream, {1.0f, 2.0f}), to(rank.device, rank.stream, {0.0f, 0.0f});
    rank.mesh.self().all_gather(rank.stream, from.view(), to.view());
    EXPECT_EQ(to.values(), (std::vector<float>{1.0f, 2.0f}));
  });
}

}  // namespace
}  // namespace ferula
