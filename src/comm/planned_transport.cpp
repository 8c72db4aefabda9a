#include "comm/planned_transport.hpp"

#include <algorithm>

#include "comm/mpi_communicator.hpp"
#include "comm/mpi_transport.hpp"
#include "comm/self_communicator.hpp"
#include "comm/simulated_transport.hpp"

namespace ferula {
namespace {

class PlannedCommunicator final : public Communicator {
 public:
  PlannedCommunicator(int size, Device& device, bool has_common)
      : size_(size), device_(&device), has_common_(has_common) {}
  int rank() const override { return 0; }
  int size() const override { return size_; }
  std::string_view kind() const override { return "planned"; }

  void all_reduce(Stream&, TensorView, ReduceOp) override { refuse(); }
  void all_gather(Stream&, TensorView, TensorView) override { refuse(); }
  void reduce_scatter(Stream&, TensorView, TensorView, ReduceOp) override { refuse(); }
  void broadcast(Stream&, TensorView, int) override { refuse(); }
  void send(Stream&, TensorView, int) override { refuse(); }
  void receive(Stream&, TensorView, int) override { refuse(); }
  void group_begin() override { refuse(); }
  void group_end() override { refuse(); }

  Buffer allocate(std::int64_t bytes, MemoryKind kind) override { return device_->allocate(bytes, kind); }
  bool has_common_memory() const override { return has_common_; }
  std::chrono::milliseconds set_timeout(std::chrono::milliseconds) override { return {}; }
  void abort(std::string_view) override {}

 private:
  static void refuse() { FERULA_CHECK(false, "a planned job exchanges nothing"); }

  int size_;
  Device* device_;
  bool has_common_;
};

class PlannedTransport final : public Mesh::Transport {
 public:
  explicit PlannedTransport(const PlannedJob& job) : job_(job) {
    FERULA_CHECK(job.ranks >= 1 && job.ranks_on_node >= 1, "{} ranks, {} a node", job.ranks, job.ranks_on_node);
  }
  int rank() const override { return 0; }
  int size() const override { return job_.ranks; }
  std::string host() const override { return host_name(); }
  NodePlace place() const override {
    return {.rank_on_node = 0, .ranks_on_node = std::min(job_.ranks, job_.ranks_on_node), .threads = job_.threads};
  }
  std::unique_ptr<Communicator> make(const MeshGroup& group, Device& device) override {
    if (!group.contains(rank())) return nullptr;
    if (group.members.size() == 1) return make_self_communicator(device);
    return std::make_unique<PlannedCommunicator>(static_cast<int>(group.members.size()), device,
                                                 job_.computes == DeviceKind::cpu && is_on_one_node(group));
  }
  std::int64_t transit_bytes(const MeshGroup& group) const override {
    const int ranks = static_cast<int>(group.members.size());
    if (ranks == 1) return 0;
    const MpiOptions options;
    return is_on_one_node(group) ? shared_memory_transit_bytes(ranks, options.shared_memory)
                                 : mpi_transit_bytes(ranks, options.staging_bytes);
  }

 private:
  bool is_on_one_node(const MeshGroup& group) const { return group.members.back() < job_.ranks_on_node; }

  PlannedJob job_;
};

}  // namespace

std::unique_ptr<Mesh::Transport> make_planned_transport(const PlannedJob& job) {
  return std::make_unique<PlannedTransport>(job);
}

}  // namespace ferula
