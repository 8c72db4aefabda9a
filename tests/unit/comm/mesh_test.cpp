// Membership of the process groups of a mesh.
#include "comm/mesh.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "comm_fixture.hpp"

namespace ferula {
namespace {

std::vector<std::vector<int>> members_along(const MeshShape& shape, const std::string& axis) {
  std::vector<std::vector<int>> members;
  for (const MeshGroup& group : mesh_groups(shape))
    if (group.axis == axis) members.push_back(group.members);
  return members;
}

using Groups = std::vector<std::vector<int>>;

TEST(MeshGroups, TensorIsTheFastestAxisAndReplicaTheSlowest) {
  const MeshShape shape{.replica = 2, .shard = 2, .pipeline = 2, .tensor = 2};

  EXPECT_EQ(members_along(shape, "tensor").front(), (std::vector<int>{0, 1}));
  EXPECT_EQ(members_along(shape, "pipeline").front(), (std::vector<int>{0, 2}));
  EXPECT_EQ(members_along(shape, "shard").front(), (std::vector<int>{0, 4}));
  EXPECT_EQ(members_along(shape, "replica").front(), (std::vector<int>{0, 8}));
  EXPECT_EQ(members_along(shape, "data").front(), (std::vector<int>{0, 4, 8, 12}));
}

TEST(MeshGroups, HybridShardingHasNodesAndLinesAcrossNodes) {
  const MeshShape shape{.replica = 2, .shard = 3};

  EXPECT_EQ(members_along(shape, "shard"), (Groups{{0, 1, 2}, {3, 4, 5}}));
  EXPECT_EQ(members_along(shape, "replica"), (Groups{{0, 3}, {1, 4}, {2, 5}}));
  EXPECT_EQ(members_along(shape, "data"), (Groups{{0, 1, 2, 3, 4, 5}}));
}

TEST(MeshGroups, EachAxisPartitionsTheRanks) {
  for (const MeshShape shape : {MeshShape{}, MeshShape{.replica = 3, .shard = 2, .pipeline = 4, .tensor = 5},
                                MeshShape{.replica = 1, .shard = 7, .pipeline = 1, .tensor = 3}}) {
    std::map<std::string, std::vector<int>> seen;
    for (const MeshGroup& group : mesh_groups(shape)) {
      EXPECT_TRUE(std::is_sorted(group.members.begin(), group.members.end()));
      seen[group.axis].insert(seen[group.axis].end(), group.members.begin(), group.members.end());
    }

    EXPECT_EQ(seen.size(), 6u);
    for (auto& [axis, ranks] : seen) {
      std::sort(ranks.begin(), ranks.end());
      ASSERT_EQ(ranks.size(), static_cast<std::size_t>(shape.ranks())) << axis;
      for (int rank = 0; rank < shape.ranks(); ++rank) EXPECT_EQ(ranks[static_cast<std::size_t>(rank)], rank) << axis;
    }
  }
}

TEST(Mesh, CommunicatorsHaveTheSizesAndRanksOfTheirAxes) {
  const MeshShape shape{.replica = 2, .shard = 2, .pipeline = 1, .tensor = 2};
  test::on_simulated_ranks(shape, {}, [&](test::Rank rank) {
    Mesh& mesh = rank.mesh;
    EXPECT_EQ(mesh.self().size(), 1);
    EXPECT_EQ(mesh.world().size(), 8);
    EXPECT_EQ(mesh.world().rank(), mesh.rank());
    EXPECT_EQ(mesh.data().size(), 4);
    EXPECT_EQ(mesh.shard().rank(), mesh.rank() / 2 % 2);
    EXPECT_EQ(mesh.replica().rank(), mesh.rank() / 4);
    EXPECT_EQ(mesh.tensor().rank(), mesh.rank() % 2);
    EXPECT_EQ(mesh.pipeline().size(), 1);

    EXPECT_EQ(agree_sum(mesh.tensor(), rank.stream, mesh.rank()), 2 * (mesh.rank() / 2 * 2) + 1);
    EXPECT_EQ(agree_max(mesh.data(), rank.stream, mesh.rank()), 6 + mesh.rank() % 2);
  });
}

TEST(Mesh, RefusesAShapeOfAnotherNumberOfRanks) {
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);

  EXPECT_THROW(Mesh(make_self_transport(), MeshShape{.shard = 2}, *device), ConfigError);
  EXPECT_THROW(Mesh(make_self_transport(), MeshShape{.shard = 0}, *device), ConfigError);
}

TEST(NodePlace, ThreadsAreAFairShareOfTheProcessorsThatARankMayUse) {
  CpuMask all, low, high;
  for (std::size_t cpu = 0; cpu < 8; ++cpu) all.set(cpu);
  for (std::size_t cpu = 0; cpu < 4; ++cpu) low.set(cpu);
  high = all & ~low;

  EXPECT_EQ(fair_threads(std::vector{all}, 0), 8);
  EXPECT_EQ(fair_threads(std::vector{all, all, all}, 1), 2);
  EXPECT_EQ(fair_threads(std::vector{low, high}, 1), 4);
  EXPECT_EQ(fair_threads(std::vector<CpuMask>(16, low), 3), 1);
  EXPECT_EQ(fair_threads(std::vector{low, all}, 1), 6);
}

}  // namespace
}  // namespace ferula
