#include "comm/mesh.hpp"

#include <algorithm>

#include "comm/checked_communicator.hpp"
#include "comm/counting_communicator.hpp"
#include "comm/self_communicator.hpp"

namespace ferula {
namespace {

/// A rank's position along the axes.
struct Position {
  int replica, shard, pipeline, tensor;
};

Position position_of(const MeshShape& shape, int rank) {
  return {.replica = rank / (shape.tensor * shape.pipeline * shape.shard),
          .shard = rank / (shape.tensor * shape.pipeline) % shape.shard,
          .pipeline = rank / shape.tensor % shape.pipeline,
          .tensor = rank % shape.tensor};
}

/// Partitions the ranks: those with an equal key are one group, in ascending order of their first member.
template <class Key>
void add_partition(std::vector<MeshGroup>& groups, std::string_view axis, const MeshShape& shape, Key key) {
  std::vector<std::array<int, 3>> keys;
  const std::size_t first = groups.size();
  for (int rank = 0; rank < shape.ranks(); ++rank) {
    const std::array<int, 3> mine = key(position_of(shape, rank));
    const auto found = std::find(keys.begin(), keys.end(), mine);
    const auto at = first + static_cast<std::size_t>(found - keys.begin());
    if (found == keys.end()) {
      keys.push_back(mine);
      groups.push_back({.axis = std::string(axis), .members = {}});
    }
    groups[at].members.push_back(rank);
  }
}

}  // namespace

bool MeshGroup::contains(int rank) const { return std::find(members.begin(), members.end(), rank) != members.end(); }

std::vector<MeshGroup> mesh_groups(const MeshShape& shape) {
  std::vector<MeshGroup> groups;
  add_partition(groups, "world", shape, [](Position) { return std::array{0, 0, 0}; });
  add_partition(groups, "data", shape, [](Position at) { return std::array{at.pipeline, at.tensor, 0}; });
  add_partition(groups, "replica", shape, [](Position at) { return std::array{at.shard, at.pipeline, at.tensor}; });
  add_partition(groups, "shard", shape, [](Position at) { return std::array{at.replica, at.pipeline, at.tensor}; });
  add_partition(groups, "pipeline", shape, [](Position at) { return std::array{at.replica, at.shard, at.tensor}; });
  add_partition(groups, "tensor", shape, [](Position at) { return std::array{at.replica, at.shard, at.pipeline}; });
  return groups;
}

Mesh::Mesh(std::unique_ptr<Transport> transport, MeshShape shape, Device& device, const MeshOptions& options)
    : shape_(shape), transport_(std::move(transport)), self_(make_self_communicator(device)) {
  if (shape.replica < 1 || shape.shard < 1 || shape.pipeline < 1 || shape.tensor < 1 || shape.ranks() != size())
    throw ConfigError(fmt::format(
        "expected replica × shard × pipeline × tensor to be the number of ranks, {}, found {} × {} × {} × {}; change "
        "the sizes of the axes or start another number of ranks",
        size(), shape.replica, shape.shard, shape.pipeline, shape.tensor));
  for (const MeshGroup& group : mesh_groups(shape)) {
    std::unique_ptr<Communicator> made = transport_->make(group, device);
    if (made != nullptr) keep(group, std::move(made), options);
  }
}

std::int64_t Mesh::transit_bytes() const {
  std::int64_t bytes = 0;
  for (const MeshGroup& group : mesh_groups(shape_))
    if (group.contains(rank())) bytes += transport_->transit_bytes(group);
  return bytes;
}

void Mesh::keep(const MeshGroup& group, std::unique_ptr<Communicator> made, const MeshOptions& options) {
  if (has_traffic(*made)) {
    made->set_timeout(options.timeout);
    if (options.check_collectives) made = check_collectives(std::move(made), group.axis, rank());
    made = count_traffic(std::move(made), traffic_);
  }
  for (const auto& [axis, place] : {std::pair{"world", &world_},
                                    {"data", &data_},
                                    {"replica", &replica_},
                                    {"shard", &shard_},
                                    {"pipeline", &pipeline_},
                                    {"tensor", &tensor_}})
    if (group.axis == axis) *place = std::move(made);
}

Communicator& Mesh::self() { return *self_; }
Communicator& Mesh::world() { return *world_; }
Communicator& Mesh::data() { return *data_; }
Communicator& Mesh::replica() { return *replica_; }
Communicator& Mesh::shard() { return *shard_; }
Communicator& Mesh::pipeline() { return *pipeline_; }
Communicator& Mesh::tensor() { return *tensor_; }

}  // namespace ferula
