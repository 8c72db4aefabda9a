// NCCL's groups and what can go wrong with them, over a fake: each fault ends in one message, in time, on every rank.
#include "comm/nccl_communicator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/aborted_error.hpp"
#include "comm_fixture.hpp"

namespace ferula {
namespace {

using namespace std::chrono_literals;
using test::kPatient;
using test::message_of;
using test::NcclBehaviour;
using test::NcclRank;
using test::on_nccl_ranks;
using test::OnDevice;
using testing::AllOf;
using testing::HasSubstr;

using Phase = NcclState::Phase;
using Status = NcclResult::Status;

NcclBehaviour well(int) { return {}; }

// --- the state machine
// ------------------------------------------------------------------------------------------------

TEST(NcclState, BecomesReadyWhenNcclSaysSo) {
  NcclState state;
  const NcclState::Clock::time_point start{};
  EXPECT_EQ(state.phase(), Phase::uninitialised);

  state.begin(start, 1s);
  state.observe({Status::in_progress}, start + 999ms);
  EXPECT_EQ(state.phase(), Phase::initialising);
  state.observe({Status::success}, start + 999ms);

  EXPECT_EQ(state.phase(), Phase::ready);
  EXPECT_EQ(state.reason(), "");
}

TEST(NcclState, FailsWhenTheRanksAreNotConnectedInTime) {
  NcclState state;
  const NcclState::Clock::time_point start{};
  state.begin(start, 2s);
  state.observe({Status::in_progress}, start + 2s);

  EXPECT_EQ(state.phase(), Phase::failed);
  EXPECT_TRUE(state.is_late());
  EXPECT_THAT(state.reason(), HasSubstr("after 2 s"));
}

TEST(NcclState, AReadyGroupMayTakeItsTimeOverACall) {
  NcclState state;
  const NcclState::Clock::time_point start{};
  state.begin(start, 2s);
  state.observe({Status::success}, start);
  state.observe({Status::in_progress}, start + 1h);

  EXPECT_EQ(state.phase(), Phase::ready);
}

TEST(NcclState, KeepsTheFirstReason) {
  NcclState state;
  state.begin({}, 2s);
  state.observe({Status::failed, "unhandled system error"}, {});
  state.abort("another rank gave up");
  state.observe({Status::success}, {});

  EXPECT_EQ(state.phase(), Phase::failed);
  EXPECT_FALSE(state.is_late());
  EXPECT_EQ(state.reason(), "NCCL says: unhandled system error");
}

TEST(NcclState, AnAbortedGroupStaysSo) {
  NcclState state;
  state.abort("the disk is full");
  state.fail("later");

  EXPECT_EQ(state.phase(), Phase::aborted);
  EXPECT_EQ(state.reason(), "the disk is full");
}

TEST(NcclState, IsBegunOnce) {
  NcclState state;
  EXPECT_ANY_THROW(state.observe({Status::success}, {}));
  state.begin({}, 2s);
  EXPECT_ANY_THROW(state.begin({}, 2s));
}

// --- which communicator
// -----------------------------------------------------------------------------------------------

NcclCard card_of(int rank, int version, std::string_view gpu, bool shares = false) {
  NcclCard card{.version = version, .shares_gpus = shares ? 1 : 0, .world_rank = rank};
  std::string_view("node1").copy(card.host.data(), 63);
  gpu.copy(card.gpu.data(), 127);
  return card;
}

TEST(NcclChoice, NcclIsUsedWhereAllHaveIt) {
  EXPECT_EQ(choose_traffic(std::vector{card_of(0, 22809, "a"), card_of(1, 22809, "b")}), DeviceTraffic::nccl);
  EXPECT_EQ(choose_traffic(std::vector{card_of(0, 0, "a"), card_of(1, 0, "b")}), DeviceTraffic::staged);
}

TEST(NcclChoice, RanksOfOneGpuAreStagedUnlessNcclLetsThem) {
  EXPECT_EQ(choose_traffic(std::vector{card_of(0, 22809, "a"), card_of(1, 22809, "a")}), DeviceTraffic::staged);
  EXPECT_EQ(choose_traffic(std::vector{card_of(0, 23007, "a", true), card_of(1, 23007, "a", true)}),
            DeviceTraffic::nccl);
  std::vector elsewhere{card_of(0, 22809, "a"), card_of(1, 22809, "a")};
  std::string_view("node2").copy(elsewhere[1].host.data(), 63);
  EXPECT_EQ(choose_traffic(elsewhere), DeviceTraffic::nccl);
}

TEST(NcclChoice, VersionsThatDifferAreRefused) {
  const auto choose = [](int first, int second) {
    return message_of<CommError>([&] {
      choose_traffic(std::vector{card_of(0, first, "cuda:0"), card_of(7, second, "cuda:1")});
    });
  };

  EXPECT_THAT(choose(22809, 21803), AllOf(HasSubstr("found 2.28.9 on rank 0 (node1, cuda:0) and 2.18.3 on rank 7"),
                                          HasSubstr("FERULA_NCCL_LIBRARY")));
  EXPECT_THAT(choose(22809, 0), HasSubstr("none on rank 7 (node1, cuda:1)"));
}

// --- starting
// ---------------------------------------------------------------------------------------------------------

/// What each rank's mesh says when it is made.
std::vector<std::string> messages_of_start(int ranks, const std::function<NcclBehaviour(int)>& behaviour_of) {
  std::vector<std::string> messages(static_cast<std::size_t>(ranks), "nothing was thrown");
  test::FakeNcclWorld world;
  run_simulated_ranks(ranks, [&](std::unique_ptr<Mesh::Transport> transport) {
    MemoryLedger ledger;
    test::FarDevice device(ledger);
    NcclBehaviour behaviour = behaviour_of(transport->rank());
    const auto rank = static_cast<std::size_t>(transport->rank());
    auto nccl = std::make_unique<test::FakeNccl>(world, device, transport->rank(), behaviour);
    auto made = make_device_transport(std::move(transport), std::move(nccl), {.nccl_start_timeout = 200ms});
    messages[rank] = message_of<CommError>([&] { Mesh(std::move(made), {.shard = ranks}, device, kPatient); });
  });
  return messages;
}

TEST(NcclStart, AFailureOfOneRankIsToldOnAllWithItsGpu) {
  for (const std::string& message : messages_of_start(3, [](int rank) {
         return NcclBehaviour{.start_error = rank == 1 ? "unhandled cuda error" : "", .never_ready = rank != 1};
       }))
    EXPECT_THAT(message, AllOf(HasSubstr("rank 1 ("), HasSubstr("start of group 'world' (3 ranks)"),
                               HasSubstr("NCCL says: unhandled cuda error (cuda:1 FAKE)"), HasSubstr("NCCL_DEBUG")));
}

TEST(NcclStart, RanksThatNeverConnectEndAfterTheTimeout) {
  for (const std::string& message : messages_of_start(2, [](int) { return NcclBehaviour{.never_ready = true}; }))
    EXPECT_THAT(message, AllOf(HasSubstr("rank 0 ("), HasSubstr("after 0.2 s"), HasSubstr("NCCL_SOCKET_IFNAME")));
}

TEST(NcclStart, AnIdThatCannotBeMadeIsToldOnAll) {
  for (const std::string& message :
       messages_of_start(2, [](int rank) { return NcclBehaviour{.id_error = rank == 0 ? "no socket" : ""}; }))
    EXPECT_THAT(message, AllOf(HasSubstr("rank 0 ("), HasSubstr("NCCL says: no socket (cuda:0 FAKE)")));
}

TEST(NcclStart, VersionsThatDifferAreRefusedOnAll) {
  for (const std::string& message :
       messages_of_start(2, [](int rank) { return NcclBehaviour{.version = 22809 - 100 * rank}; }))
    EXPECT_THAT(message, AllOf(HasSubstr("2.28.9 on rank 0"), HasSubstr("2.27.9 on rank 1")));
}

TEST(NcclStart, RanksOfOneGpuAreStaged) {
  on_nccl_ranks(
      2, kPatient, [](int) { return NcclBehaviour{.gpu = "cuda:0"}; },
      [](NcclRank each) {
        EXPECT_EQ(each.rank.mesh.world().kind(), "staged simulated (no NCCL: ranks share a GPU)");
        EXPECT_GT(each.rank.mesh.transit_bytes(), 0);
      });
}

// --- working
// ----------------------------------------------------------------------------------------------------------

TEST(Nccl, CollectivesOfTheGpuAreNcclsAndThoseOfTheHostAreNot) {
  on_nccl_ranks(3, kPatient, well, [](NcclRank each) {
    const OnDevice<float> values(each.rank.device, each.rank.stream, {1.0f, 2.0f});
    Communicator& world = each.rank.mesh.world();
    EXPECT_EQ(world.kind(), "nccl");
    EXPECT_EQ(agree_sum(world, each.rank.stream, 0.5), 1.5);
    EXPECT_EQ(each.nccl.calls, 0);

    world.all_reduce(each.rank.stream, values.view(), ReduceOp::sum);

    EXPECT_EQ(values.values(), (std::vector<float>{3.0f, 6.0f}));
    EXPECT_EQ(each.nccl.calls, 1);
    EXPECT_EQ(each.rank.mesh.traffic().of(Collective::all_reduce).elements, 2 * (2 + 1));
  });
}

TEST(Nccl, ARefusedCallNamesCollectiveRankHostAndGpu) {
  on_nccl_ranks(2, kPatient, well, [](NcclRank each) {
    const OnDevice<float> values(each.rank.device, each.rank.stream, {1.0f});
    each.behaviour.call_error = "invalid argument";
    const std::string message = message_of<CommError>(
        [&] { each.rank.mesh.data().all_reduce(each.rank.stream, values.view(), ReduceOp::sum); });
    const std::string gpu = "(cuda:" + std::to_string(each.rank.mesh.rank()) + " FAKE)";

    EXPECT_THAT(message, AllOf(HasSubstr("rank " + std::to_string(each.rank.mesh.rank()) + " (" + host_name() + ")"),
                               HasSubstr("all_reduce of group 'data'"), HasSubstr("NCCL says: invalid argument"),
                               HasSubstr(gpu)));
    // The groups of a rank end together.
    const std::string next =
        message_of<CommError>([&] { each.rank.mesh.world().broadcast(each.rank.stream, values.view(), 0); });
    EXPECT_THAT(next, HasSubstr("all_reduce of group 'data'"));
    EXPECT_GE(each.nccl.aborts, 2);
  });
}

TEST(Nccl, AnErrorThatComesLaterIsThrownByWhoWaitsForTheStreamAndByTheNextCall) {
  on_nccl_ranks(2, kPatient, well, [](NcclRank each) {
    const OnDevice<float> values(each.rank.device, each.rank.stream, {1.0f});
    each.behaviour.hangs = true;
    each.rank.mesh.shard().all_reduce(each.rank.stream, values.view(), ReduceOp::sum);
    each.nccl.set_async_error("remote process exited or there was a network error");
    const std::unique_ptr<Stream> other = each.rank.device.make_stream();
    other->wait(each.rank.stream.record());
    const auto tells = AllOf(HasSubstr("all_reduce of group 'shard'"), HasSubstr("remote process exited"),
                             HasSubstr("(cuda:"), HasSubstr("NCCL_DEBUG=INFO"));

    EXPECT_THAT(message_of<CommError>([&] { each.rank.stream.synchronize(); }),
                tells);  // ends: the watchdog aborts the group
    EXPECT_THAT(message_of<CommError>([&] { other->synchronize(); }), tells);
    const std::unique_ptr<Stream> idle = each.rank.device.make_stream();
    EXPECT_THAT(message_of<CommError>([&] { barrier(each.rank.mesh.world(), *idle); }), tells);
  });
}

TEST(Nccl, ACollectiveThatWaitsTooLongIsEnded) {
  on_nccl_ranks(2, {.timeout = 100ms}, well, [](NcclRank each) {
    const OnDevice<float> values(each.rank.device, each.rank.stream, {1.0f});
    each.behaviour.hangs = true;
    each.rank.mesh.shard().broadcast(each.rank.stream, values.view(), 0);

    const std::string message = message_of<CommError>([&] { each.rank.stream.synchronize(); });
    EXPECT_THAT(message, AllOf(HasSubstr("broadcast has waited for more than 100 ms"), HasSubstr("group 'shard'")));
  });
}

TEST(Nccl, ACollectiveThatHangsIsEndedWhileTheNextOneWaitsBehindIt) {
  on_nccl_ranks(2, {.timeout = 100ms}, well, [](NcclRank each) {
    const OnDevice<float> values(each.rank.device, each.rank.stream, {1.0f});
    const auto broadcast = [&] { each.rank.mesh.shard().broadcast(each.rank.stream, values.view(), 0); };
    each.behaviour.hangs = true;
    broadcast();
    each.behaviour.marks_wait = true;

    EXPECT_THAT(message_of<CommError>(broadcast), HasSubstr("broadcast has waited for more than 100 ms"));
  });
}

TEST(Nccl, TimeThatACollectiveSpendsBehindOtherWorkDoesNotCount) {
  on_nccl_ranks(2, {.timeout = 150ms}, well, [](NcclRank each) {
    const OnDevice<float> values(each.rank.device, each.rank.stream, {1.0f});
    each.rank.stream.run([] { std::this_thread::sleep_for(400ms); });
    each.rank.mesh.shard().all_reduce(each.rank.stream, values.view(), ReduceOp::sum);

    EXPECT_EQ(values.values(), std::vector<float>{2.0f});
  });
}

TEST(Nccl, AbortEndsWhatIsUnderWayWithItsReason) {
  on_nccl_ranks(2, kPatient, well, [](NcclRank each) {
    const OnDevice<float> values(each.rank.device, each.rank.stream, {1.0f});
    each.behaviour.hangs = true;
    each.rank.mesh.shard().all_reduce(each.rank.stream, values.view(), ReduceOp::sum);
    each.rank.mesh.world().abort("the disk is full");

    EXPECT_THROW(each.rank.stream.synchronize(), AbortedError);
    EXPECT_THROW(each.rank.mesh.shard().all_reduce(each.rank.stream, values.view(), ReduceOp::sum), AbortedError);
    EXPECT_THAT(message_of<CommError>([&] { barrier(each.rank.mesh.world(), each.rank.stream); }),
                HasSubstr("the disk is full"));
  });
}

TEST(Nccl, GroupsThatEndWellAreFreedAndNotAborted) {
  std::atomic<int> freed{0};
  test::FakeNcclWorld world;
  run_simulated_ranks(2, [&](std::unique_ptr<Mesh::Transport> transport) {
    MemoryLedger ledger;
    test::FarDevice device(ledger);
    NcclBehaviour behaviour;
    test::FakeNccl nccl(world, device, transport->rank(), behaviour);
    NcclWatch watch;
    const std::unique_ptr<Device> host = make_cpu_device(ledger);
    auto inner = transport->make({.axis = "data", .members = {0, 1}}, *host);
    const GroupIdentity identity{.axis = "data", .rank = inner->rank(), .members = {{0, "here"}, {1, "here"}}};
    make_nccl_communicator(std::move(inner), identity, nccl, watch, device, 1s).reset();

    EXPECT_EQ(nccl.aborts, 0);
    freed += nccl.destroys;
  });
  EXPECT_EQ(freed, 2);
}

}  // namespace
}  // namespace ferula
