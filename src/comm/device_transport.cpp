#include "comm/device_transport.hpp"

#include <map>
#include <utility>

#include "comm/nccl_communicator.hpp"
#include "comm/self_communicator.hpp"

namespace ferula {
namespace {

class DeviceTransport final : public Mesh::Transport {
 public:
  DeviceTransport(std::unique_ptr<Mesh::Transport> inner, std::unique_ptr<NcclApi> nccl,
                  const DeviceTransportOptions& options)
      : options_(options), inner_(std::move(inner)), nccl_(std::move(nccl)) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  std::string host() const override { return inner_->host(); }
  NodePlace place() const override { return inner_->place(); }

  std::unique_ptr<Communicator> make(const MeshGroup& group, Device& device) override {
    if (host_ == nullptr) host_ = make_cpu_device(device.ledger());
    std::unique_ptr<Communicator> below = inner_->make(group, *host_);  // also where it is not used: all ranks count
    if (below == nullptr) return nullptr;
    if (below->size() == 1) return make_self_communicator(device);
    const std::vector<NcclCard> cards = exchange_cards(*below, nccl_.get(), rank(), host());
    const DeviceTraffic traffic = choose_traffic(cards);
    traffic_[group.axis] = traffic;
    if (traffic == DeviceTraffic::staged) {
      StagedOptions staged = options_.staged;
      if (nccl_ != nullptr) staged.why = "ranks share a GPU";
      return make_staged_communicator(std::move(below), device, staged);
    }
    if (watch_ == nullptr) watch_ = std::make_unique<NcclWatch>();
    GroupIdentity identity{.axis = group.axis, .rank = below->rank(), .members = {}};
    for (const NcclCard& card : cards)
      identity.members.push_back({.world_rank = static_cast<int>(card.world_rank), .host = card.host.data()});
    return make_nccl_communicator(std::move(below), std::move(identity), *nccl_, *watch_, device,
                                  options_.nccl_start_timeout);
  }

  std::int64_t transit_bytes(const MeshGroup& group) const override {
    const int ranks = static_cast<int>(group.members.size());
    if (ranks == 1) return 0;
    const auto made = traffic_.find(group.axis);
    const bool over_nccl = made != traffic_.end() && made->second == DeviceTraffic::nccl;
    return inner_->transit_bytes(group) + (over_nccl ? 0 : staged_transit_bytes(ranks, options_.staged));
  }

 private:
  DeviceTransportOptions options_;
  std::unique_ptr<Device> host_;  // what `inner` allocates from; outlives its groups, which the mesh owns
  std::unique_ptr<Mesh::Transport> inner_;
  std::unique_ptr<NcclApi> nccl_;
  std::unique_ptr<NcclWatch> watch_;
  std::map<std::string, DeviceTraffic> traffic_;  // by axis, of the groups in which this rank is
};

}  // namespace

std::unique_ptr<Mesh::Transport> make_device_transport(std::unique_ptr<Mesh::Transport> inner,
                                                       std::unique_ptr<NcclApi> nccl,
                                                       const DeviceTransportOptions& options) {
  return std::make_unique<DeviceTransport>(std::move(inner), std::move(nccl), options);
}

std::unique_ptr<Mesh::Transport> make_device_transport(std::unique_ptr<Mesh::Transport> inner,
                                                       const DeviceTransportOptions& options) {
  return make_device_transport(std::move(inner), nullptr, options);
}

}  // namespace ferula
