// Every collective on every transport, element type and odd size, compared bit for bit with sums in rank order.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "comm/device_transport.hpp"
#include "comm/mpi_transport.hpp"
#include "comm/simulated_transport.hpp"
#include "support/ranks/job.hpp"

namespace ferula {
namespace {

struct TransportCase {
  std::string name;
  MpiOptions options;
  std::int64_t staged_bytes = 0;  // above 0: through memory of this size, as the collectives of GPUs
};

void PrintTo(const TransportCase& transport, std::ostream* out) { *out << transport.name; }

std::vector<TransportCase> transports() {
  const SharedMemoryOptions tiny{.chunk_bytes = 64, .message_chunk_bytes = 8};
  return {{"shared_memory", {}},
          {"shared_memory_tiny_chunks", {.shared_memory = tiny}},
          {"mpi", {.within_node = NodeTraffic::mpi}},
          {"mpi_tiny_chunks", {.within_node = NodeTraffic::mpi, .message_limit_bytes = 24, .staging_bytes = 96}},
          {"staged_shared_memory", {}, 8 << 20},
          {"staged_mpi_tiny_chunks", {.within_node = NodeTraffic::mpi}, 200}};
}

std::unique_ptr<Mesh::Transport> make_transport(const TransportCase& transport) {
  auto made = make_mpi_transport(test::job(), transport.options);
  if (transport.staged_bytes == 0) return made;
  const StagedOptions staged{.chunk_bytes = transport.staged_bytes, .message_chunk_bytes = 64};
  return make_device_transport(std::move(made), {.staged = staged});
}

enum class Placed { in_window, elsewhere, in_window_on_even_ranks };

/// One rank's operand of `count` elements.
class Operand {
 public:
  Operand(Communicator& group, std::int64_t count, Placed placed, DType dtype)
      : elsewhere_(static_cast<std::size_t>(count * bytes_of(dtype)) + 1) {
    window_ = group.allocate(count * bytes_of(dtype), MemoryKind::buffers);
    const bool inside =
        placed == Placed::in_window || (placed == Placed::in_window_on_even_ranks && group.rank() % 2 == 0);
    view_ = TensorView(inside && count > 0 ? window_.data() : elsewhere_.data(), dtype, {count});
  }
  const TensorView& view() const { return view_; }

 private:
  Buffer window_;
  std::vector<std::byte> elsewhere_;
  TensorView view_;
};

/// Sums of these round differently in another order.
template <class T>
T value_at(int rank, std::int64_t element) {
  const double value = static_cast<double>((rank * 7919 + element * 104729) % 2003 - 1001);
  if constexpr (std::is_integral_v<T>) return static_cast<T>(value);
  return T(static_cast<float>(value * 0.37 / (rank + 1)));
}

template <class T>
T reduced_at(int ranks, std::int64_t element, ReduceOp op) {
  using Wide = std::conditional_t<std::is_same_v<T, bf16>, float, T>;
  Wide total = static_cast<Wide>(value_at<T>(0, element));
  for (int rank = 1; rank < ranks; ++rank) {
    const Wide next = static_cast<Wide>(value_at<T>(rank, element));
    total = op == ReduceOp::sum ? static_cast<Wide>(total + next) : std::max(total, next);
  }
  return static_cast<T>(total);
}

template <class T>
bool same_bits(T left, T right) {
  return std::memcmp(&left, &right, sizeof(T)) == 0;
}

/// The mesh of one transport, made once a test.
struct World {
  explicit World(const TransportCase& transport, MeshShape shape)
      : device(make_cpu_device(ledger)),
        stream(device->make_stream()),
        mesh(make_transport(transport), shape, *device, {.timeout = std::chrono::seconds(60)}) {}
  explicit World(const TransportCase& transport) : World(transport, {.shard = test::job().size()}) {}
  MemoryLedger ledger;
  std::unique_ptr<Device> device;
  std::unique_ptr<Stream> stream;
  Mesh mesh;
};

const std::vector<std::int64_t> kCounts{0, 1, 2, 3, 31, 257, 1031};
constexpr std::array kPlaces{Placed::in_window, Placed::elsewhere, Placed::in_window_on_even_ranks};

template <class T>
void fill(const TensorView& view, int rank) {
  for (std::int64_t i = 0; i < view.count(); ++i) view.span<T>()[static_cast<std::size_t>(i)] = value_at<T>(rank, i);
}

template <class T>
T at(const TensorView& view, std::int64_t element) {
  return view.span<T>()[static_cast<std::size_t>(element)];
}

template <class T>
void check_all_reduce(World& world, Placed placed, ReduceOp op) {
  Communicator& group = world.mesh.shard();
  for (const std::int64_t count : kCounts) {
    const Operand operand(group, count, placed, dtype_of<T>);
    fill<T>(operand.view(), group.rank());
    group.all_reduce(*world.stream, operand.view(), op);
    for (std::int64_t i = 0; i < count; ++i)
      ASSERT_TRUE(same_bits(at<T>(operand.view(), i), reduced_at<T>(group.size(), i, op))) << count << " at " << i;
  }
}

template <class T>
void check_reduce_scatter(World& world, Placed placed, ReduceOp op) {
  Communicator& group = world.mesh.shard();
  for (const std::int64_t part : kCounts) {
    const Operand whole(group, part * group.size(), placed, dtype_of<T>);
    const Operand apart(group, part, Placed::elsewhere, dtype_of<T>);
    const TensorView inside = whole.view().range(group.rank() * part, part);
    for (const TensorView& shard : {apart.view(), inside}) {
      fill<T>(whole.view(), group.rank());
      group.reduce_scatter(*world.stream, whole.view(), shard, op);
      for (std::int64_t i = 0; i < part; ++i)
        ASSERT_TRUE(same_bits(at<T>(shard, i), reduced_at<T>(group.size(), group.rank() * part + i, op)))
            << part << " at " << i;
    }
  }
}

template <class T>
void check_all_gather(World& world, Placed placed) {
  Communicator& group = world.mesh.shard();
  for (const std::int64_t part : kCounts) {
    const Operand whole(group, part * group.size(), placed, dtype_of<T>), apart(group, part, placed, dtype_of<T>);
    const TensorView inside = whole.view().range(group.rank() * part, part);
    for (const TensorView& shard : {apart.view(), inside}) {
      fill<T>(shard, group.rank());
      group.all_gather(*world.stream, shard, whole.view());
      for (std::int64_t i = 0; i < part * group.size(); ++i)
        ASSERT_TRUE(same_bits(at<T>(whole.view(), i), value_at<T>(static_cast<int>(i / part), i % part)));
    }
  }
}

template <class T>
void check_broadcast(World& world, Placed placed) {
  Communicator& group = world.mesh.shard();
  for (const std::int64_t count : kCounts) {
    for (int root = 0; root < group.size(); ++root) {
      const Operand operand(group, count, placed, dtype_of<T>);
      fill<T>(operand.view(), group.rank());
      group.broadcast(*world.stream, operand.view(), root);
      for (std::int64_t i = 0; i < count; ++i) ASSERT_TRUE(same_bits(at<T>(operand.view(), i), value_at<T>(root, i)));
    }
  }
}

template <class T>
void check_reductions(World& world) {
  for (const Placed placed : kPlaces) {
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::max}) {
      check_all_reduce<T>(world, placed, op);
      check_reduce_scatter<T>(world, placed, op);
    }
  }
}

template <class T>
void check_moves(World& world) {
  for (const Placed placed : kPlaces) {
    check_all_gather<T>(world, placed);
    check_broadcast<T>(world, placed);
  }
}

class Transports : public ::testing::TestWithParam<TransportCase> {};
INSTANTIATE_TEST_SUITE_P(Mpi, Transports, ::testing::ValuesIn(transports()),
                         [](const auto& each) { return each.param.name; });

TEST_P(Transports, ReductionsAreSumsInRankOrderBitForBit) {
  World world(GetParam());
  check_reductions<float>(world);
  check_reductions<double>(world);
  check_reductions<bf16>(world);
  check_reductions<std::int32_t>(world);
  check_reductions<std::int64_t>(world);
}

TEST_P(Transports, GathersAndBroadcastsMoveAnyElementType) {
  World world(GetParam());
  check_moves<float>(world);
  check_moves<double>(world);
  check_moves<bf16>(world);
  check_moves<std::uint8_t>(world);
  check_moves<std::int8_t>(world);
  check_moves<std::int64_t>(world);
}

TEST_P(Transports, AreChosenByWhereTheRanksAre) {
  World world(GetParam());
  const bool mpi = GetParam().options.within_node == NodeTraffic::mpi;
  const std::string below = mpi ? "mpi" : "shared-memory";
  const std::string several = GetParam().staged_bytes > 0 ? "staged " + below : below;
  const std::string expected = test::job().size() == 1 ? "self" : several;

  EXPECT_EQ(world.mesh.shard().kind(), expected);
  EXPECT_EQ(world.mesh.place().ranks_on_node, test::job().size());
  EXPECT_EQ(world.mesh.place().rank_on_node, test::job().rank());
  EXPECT_GE(world.mesh.place().threads, 1);
}

TEST_P(Transports, SayWhatMemoryTheirGroupsTake) {
  const int ranks = test::job().size();
  const MeshShape hybrid = ranks % 2 == 0 ? MeshShape{.replica = 2, .shard = ranks / 2} : MeshShape{.shard = ranks};
  for (const MeshShape shape : {MeshShape{.shard = ranks}, MeshShape{.replica = ranks}, hybrid}) {
    const World world(GetParam(), shape);

    EXPECT_EQ(world.mesh.transit_bytes(), world.ledger.current_bytes(MemoryKind::buffers));
    EXPECT_EQ(world.mesh.transit_bytes() > 0, ranks > 1);
  }
}

TEST_P(Transports, MessagesGoRoundARingInAnyOrder) {
  World world(GetParam());
  Communicator& group = world.mesh.world();
  if (group.size() == 1) return;
  const int next = (group.rank() + 1) % group.size(), before = (group.rank() + group.size() - 1) % group.size();
  const Operand sent(group, 1021, Placed::in_window_on_even_ranks, DType::f32);
  const Operand received(group, 1021, Placed::elsewhere, DType::f32);
  std::int32_t mark = 10 + group.rank(), found = 0;
  const TensorView mark_view(reinterpret_cast<std::byte*>(&mark), DType::i32, {1});
  const TensorView found_view(reinterpret_cast<std::byte*>(&found), DType::i32, {1});
  fill<float>(sent.view(), group.rank());

  group.group_begin();
  group.receive(*world.stream, received.view(), before);
  group.receive(*world.stream, found_view, before);
  group.send(*world.stream, sent.view(), next);
  group.send(*world.stream, mark_view, next);
  group.group_end();

  EXPECT_EQ(found, 10 + before);
  for (std::int64_t i = 0; i < 1021; ++i) ASSERT_EQ(at<float>(received.view(), i), value_at<float>(before, i));
}

TEST_P(Transports, SingleMessagesGoDownTheLine) {
  World world(GetParam());
  Communicator& group = world.mesh.world();
  double value = group.rank() == 0 ? 1.5 : 0.0;
  const TensorView view(reinterpret_cast<std::byte*>(&value), DType::f64, {1});

  if (group.rank() > 0) group.receive(*world.stream, view, group.rank() - 1);
  value += 1.0;
  if (group.rank() + 1 < group.size()) group.send(*world.stream, view, group.rank() + 1);

  EXPECT_EQ(value, 2.5 + group.rank());
}

TEST_P(Transports, ABufferOfAGroupIsReachedFromItsSubgroups) {
  if (test::job().size() % 2 != 0) return;
  World world(GetParam(), {.replica = 2, .shard = test::job().size() / 2});
  Communicator& data = world.mesh.data();
  Buffer buffer = data.allocate(1024, MemoryKind::gradients);
  const TensorView values = buffer.flat(DType::f32);
  for (float& value : values.span<float>()) value = static_cast<float>(data.rank() + 1);

  world.mesh.shard().all_reduce(*world.stream, values, ReduceOp::sum);
  world.mesh.replica().all_reduce(*world.stream, values, ReduceOp::sum);

  const int ranks = data.size();
  for (const float value : values.span<float>()) ASSERT_EQ(value, static_cast<float>(ranks * (ranks + 1) / 2));
}

TEST_P(Transports, SideStreamsOfTwoGroupsRunBesideEachOther) {
  World world(GetParam(), {.shard = test::job().size()});
  const std::unique_ptr<Stream> side = world.device->make_side_stream("side");
  std::vector<std::int64_t> first(301, 1), second(97, 1);
  const TensorView one(reinterpret_cast<std::byte*>(first.data()), DType::i64, {301});
  const TensorView two(reinterpret_cast<std::byte*>(second.data()), DType::i64, {97});
  for (int round = 0; round < 10; ++round) {
    world.mesh.data().all_reduce(*side, one, ReduceOp::sum);
    world.mesh.shard().all_reduce(*world.stream, two, ReduceOp::sum);
  }
  side->synchronize();

  std::int64_t expected = 1;
  for (int round = 0; round < 10; ++round) expected *= test::job().size();
  EXPECT_EQ(first.back(), expected);
  EXPECT_EQ(second.back(), expected);
}

TEST(Transports, SimulatedRanksGiveTheBitsOfProcesses) {
  constexpr std::int64_t kCount = 1009;
  std::vector<std::vector<bf16>> simulated(static_cast<std::size_t>(test::job().size()));
  run_simulated_ranks(test::job().size(), [&](std::unique_ptr<Mesh::Transport> transport) {
    MemoryLedger ledger;
    const std::unique_ptr<Device> device = make_cpu_device(ledger);
    Mesh mesh(std::move(transport), {.shard = test::job().size()}, *device);
    std::vector<bf16>& values = simulated[static_cast<std::size_t>(mesh.rank())];
    values.resize(kCount);
    const TensorView view(reinterpret_cast<std::byte*>(values.data()), DType::bf16, {kCount});
    fill<bf16>(view, mesh.rank());
    mesh.world().all_reduce(*device->make_stream(), view, ReduceOp::sum);
  });
  for (const TransportCase& transport : transports()) {
    World world(transport);
    const Operand operand(world.mesh.world(), kCount, Placed::elsewhere, DType::bf16);
    fill<bf16>(operand.view(), world.mesh.rank());
    world.mesh.world().all_reduce(*world.stream, operand.view(), ReduceOp::sum);

    const std::span<bf16> found = operand.view().span<bf16>();
    EXPECT_TRUE(std::equal(found.begin(), found.end(), simulated[static_cast<std::size_t>(world.mesh.rank())].begin()));
  }
}

}  // namespace
}  // namespace ferula
