// The process groups of one rank, along the axes replica × shard × pipeline × tensor (data = replica × shard).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "comm/node_place.hpp"
#include "comm/traffic.hpp"

namespace ferula {

/// Sizes of the axes; their product is the number of ranks. Tensor is the fastest axis, then pipeline, shard, replica.
struct MeshShape {
  int replica = 1;
  int shard = 1;
  int pipeline = 1;
  int tensor = 1;
  int data() const { return replica * shard; }
  int ranks() const { return replica * shard * pipeline * tensor; }
};

/// One group of the mesh with the name of its axis ("data", "shard", …) and the ranks of the world in it.
struct MeshGroup {
  std::string axis;
  std::vector<int> members;  // world ranks, ascending; position = rank in the group
  bool contains(int rank) const;
};

/// All groups of all axes, in the order in which every rank makes them; those of one axis partition the ranks.
std::vector<MeshGroup> mesh_groups(const MeshShape& shape);

struct MeshOptions {
  bool check_collectives = false;        // [debug] check_collectives: compare the calls of all ranks
  std::chrono::milliseconds timeout{0};  // a collective that waits longer throws CommError; 0 waits for ever
};

/// The only owner of communicators. A rank has one; simulated ranks have one each.
class Mesh {
 public:
  /// How communicators of one transport come to be: MPI (with shared-memory windows on one node), simulated, self.
  class Transport {
   public:
    virtual ~Transport() = default;
    virtual int rank() const = 0;
    virtual int size() const = 0;
    virtual std::string host() const = 0;
    virtual NodePlace place() const = 0;
    /// Called by all ranks of the world in the same order, also by those outside `group` (then null is returned).
    virtual std::unique_ptr<Communicator> make(const MeshGroup& group, Device& device) = 0;
    /// Bytes of buffers that the communicator of a group in which this rank is takes for what passes through it.
    virtual std::int64_t transit_bytes(const MeshGroup& group) const = 0;
  };

  /// Collective. Throws ConfigError where `shape` does not have as many ranks as the transport.
  Mesh(std::unique_ptr<Transport> transport, MeshShape shape, Device& device, const MeshOptions& options = {});

  const MeshShape& shape() const { return shape_; }
  int rank() const { return transport_->rank(); }
  int size() const { return transport_->size(); }
  std::string host() const { return transport_->host(); }
  NodePlace place() const { return transport_->place(); }

  /// Bytes of buffers that this rank's communicators take, all groups together.
  std::int64_t transit_bytes() const;

  Communicator& self();
  Communicator& world();
  Communicator& data();
  Communicator& replica();
  Communicator& shard();
  Communicator& pipeline();
  Communicator& tensor();

  /// What this rank has sent through its groups since the start: calls and bytes by collective.
  const TrafficLedger& traffic() const { return traffic_; }
  TrafficLedger& traffic() { return traffic_; }

 private:
  void keep(const MeshGroup& group, std::unique_ptr<Communicator> made, const MeshOptions& options);

  MeshShape shape_;
  TrafficLedger traffic_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Communicator> self_, world_, data_, replica_, shard_, pipeline_, tensor_;
};

}  // namespace ferula
