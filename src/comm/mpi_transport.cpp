#include "comm/mpi_transport.hpp"

#include <algorithm>
#include <array>

#include "base/narrow.hpp"
#include "comm/mpi_communicator.hpp"
#include "comm/self_communicator.hpp"
#include "comm/simulated_transport.hpp"

namespace ferula {
namespace {

/// All ranks' values, by rank of `comm`. T is a plain struct.
template <class T>
std::vector<T> gather_plain(const T& mine, MPI_Comm comm, int ranks) {
  std::vector<T> all(static_cast<std::size_t>(ranks));
  const int bytes = narrow<int>(sizeof(T));
  check_mpi(MPI_Allgather(&mine, bytes, MPI_BYTE, all.data(), bytes, MPI_BYTE, comm), "MPI_Allgather");
  return all;
}

/// Where a rank of the job lives.
struct RankAddress {
  std::array<char, 256> host{};
  int node = 0;  // lowest rank of the node
};

class MpiTransport final : public Mesh::Transport {
 public:
  MpiTransport(const MpiEnvironment& environment, const MpiOptions& options)
      : rank_(environment.rank()), options_(options), window_(environment.rank()) {
    MPI_Comm world = MPI_COMM_NULL;
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &world), "MPI_Comm_dup");
    world_ = MpiComm(world);
    check_mpi(MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    explore_node();
    RankAddress mine{.node = node_};
    const std::string host = host_name();
    std::copy_n(host.begin(), std::min(host.size(), mine.host.size() - 1), mine.host.begin());
    addresses_ = gather_plain(mine, world, environment.size());
  }

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(addresses_.size()); }
  std::string host() const override { return address_of(rank_).host.data(); }
  NodePlace place() const override { return place_; }

  std::unique_ptr<Communicator> make(const MeshGroup& group, Device& device) override {
    const int tag = calls_++ % 1000;  // ranks may be at different groups of the same axis
    if (!group.contains(rank_)) return nullptr;
    if (group.members.size() == 1) return make_self_communicator(device);
    GroupIdentity identity{.axis = group.axis, .rank = 0, .members = {}};
    for (const int member : group.members) {
      if (member == rank_) identity.rank = identity.size();
      identity.members.push_back({.world_rank = member, .host = address_of(member).host.data(), .process = 0});
    }
    MpiComm comm = create_comm(group.members, tag);
    if (shares_memory(group)) {
      const auto exchange = [&](const SegmentCard& card) { return gather_plain(card, comm.get(), identity.size()); };
      if (auto made = make_shared_memory_communicator(identity, window_, device, options_.shared_memory, exchange))
        return made;
    }
    return std::make_unique<MpiCommunicator>(std::move(identity), std::move(comm), device, options_.staging_bytes,
                                             options_.message_limit_bytes);
  }

  std::int64_t transit_bytes(const MeshGroup& group) const override {
    const int ranks = static_cast<int>(group.members.size());
    if (ranks == 1) return 0;
    return shares_memory(group) ? shared_memory_transit_bytes(ranks, options_.shared_memory)
                                : mpi_transit_bytes(ranks, options_.staging_bytes);
  }

 private:
  bool shares_memory(const MeshGroup& group) const {
    return options_.within_node == NodeTraffic::shared_memory && is_on_one_node(group.members);
  }

  const RankAddress& address_of(int rank) const { return addresses_[static_cast<std::size_t>(rank)]; }

  bool is_on_one_node(const std::vector<int>& ranks) const {
    return std::all_of(ranks.begin(), ranks.end(), [&](int rank) { return address_of(rank).node == node_; });
  }

  void explore_node() {
    MPI_Comm node = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(world_.get(), MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node),
              "MPI_Comm_split_type");
    const MpiComm owner(node);
    check_mpi(MPI_Comm_rank(node, &place_.rank_on_node), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(node, &place_.ranks_on_node), "MPI_Comm_size");
    const std::vector<CpuMask> masks = gather_plain(allowed_cpus(), node, place_.ranks_on_node);
    place_.threads = fair_threads(masks, place_.rank_on_node);
    node_ = gather_plain(rank_, node, place_.ranks_on_node).front();
  }

  MpiComm create_comm(const std::vector<int>& ranks, int tag) const {
    MPI_Group everybody = MPI_GROUP_NULL;
    check_mpi(MPI_Comm_group(world_.get(), &everybody), "MPI_Comm_group");
    const MpiGroup all(everybody);
    MPI_Group members = MPI_GROUP_NULL;
    check_mpi(MPI_Group_incl(everybody, narrow<int>(static_cast<std::int64_t>(ranks.size())), ranks.data(), &members),
              "MPI_Group_incl");
    const MpiGroup some(members);
    MPI_Comm comm = MPI_COMM_NULL;
    check_mpi(MPI_Comm_create_group(world_.get(), members, tag, &comm), "MPI_Comm_create_group");
    return MpiComm(comm);
  }

  int rank_;
  MpiOptions options_;
  MpiComm world_;
  NodePlace place_;
  int node_ = 0;
  std::vector<RankAddress> addresses_;
  NodeWindow window_;
  int calls_ = 0;
};

}  // namespace

std::unique_ptr<Mesh::Transport> make_mpi_transport(MpiEnvironment& environment, const MpiOptions& options) {
  return std::make_unique<MpiTransport>(environment, options);
}

}  // namespace ferula
