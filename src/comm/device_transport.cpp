#include "comm/device_transport.hpp"

#include <utility>

#include "comm/self_communicator.hpp"

namespace ferula {
namespace {

class DeviceTransport final : public Mesh::Transport {
 public:
  DeviceTransport(std::unique_ptr<Mesh::Transport> inner, const DeviceTransportOptions& options)
      : options_(options), inner_(std::move(inner)) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  std::string host() const override { return inner_->host(); }
  NodePlace place() const override { return inner_->place(); }

  std::unique_ptr<Communicator> make(const MeshGroup& group, Device& device) override {
    if (host_ == nullptr) host_ = make_cpu_device(device.ledger());
    std::unique_ptr<Communicator> below = inner_->make(group, *host_);  // also where it is not used: all ranks count
    if (below == nullptr) return nullptr;
    if (below->size() == 1) return make_self_communicator(device);
    return make_staged_communicator(std::move(below), device, options_.staged);
  }

  std::int64_t transit_bytes(const MeshGroup& group) const override {
    const int ranks = static_cast<int>(group.members.size());
    return ranks == 1 ? 0 : inner_->transit_bytes(group) + staged_transit_bytes(ranks, options_.staged);
  }

 private:
  DeviceTransportOptions options_;
  std::unique_ptr<Device> host_;  // what `inner` allocates from; outlives its groups, which the mesh owns
  std::unique_ptr<Mesh::Transport> inner_;
};

}  // namespace

std::unique_ptr<Mesh::Transport> make_device_transport(std::unique_ptr<Mesh::Transport> inner,
                                                       const DeviceTransportOptions& options) {
  return std::make_unique<DeviceTransport>(std::move(inner), options);
}

}  // namespace ferula
