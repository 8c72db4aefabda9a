#include "comm/simulated_transport.hpp"

#include <unistd.h>

#include <map>
#include <mutex>

#include "base/narrow.hpp"
#include "comm/common_pieces.hpp"
#include "comm/self_communicator.hpp"
#include "comm/window_communicator.hpp"

namespace ferula {
namespace {

/// Memory of no rank of its own, for as long as the world.
struct CommonHeap {
  MemoryLedger ledger;
  std::unique_ptr<Device> device = make_cpu_device(ledger);
  std::vector<Buffer> buffers;
};

/// What the ranks of one group share.
struct SimulatedGroup {
  explicit SimulatedGroup(std::vector<int> ranks)
      : members(std::move(ranks)), blocks(members.size()), mail(members.size() * members.size()) {}
  std::vector<int> members;
  std::vector<RankBlock> blocks;
  std::vector<MailSlot> mail;  // [from × size + to]
  CommonHeap common;           // filled by rank 0
};

/// Threads see each other's memory: an operand is its address.
class ThreadMemory final : public PeerMemory {
 public:
  ThreadMemory(SimulatedGroup& group, int rank, Device& device, CommonMemory common)
      : group_(&group), rank_(rank), device_(&device), offered_(common) {}
  RankBlock& block(int rank) override { return group_->blocks[static_cast<std::size_t>(rank)]; }
  MailSlot& mail(int from, int to) override {
    return group_->mail[static_cast<std::size_t>(from) * group_->members.size() + static_cast<std::size_t>(to)];
  }
  std::optional<Operand> publish(const TensorView& view) override {
    return Operand{.offset = reinterpret_cast<std::intptr_t>(view.data)};
  }
  std::byte* resolve(int, const Operand& operand) override { return reinterpret_cast<std::byte*>(operand.offset); }
  bool goes_with_ranks() const override { return true; }
  std::span<std::byte> bounce(int) override { return {}; }
  std::span<std::byte> mail_bounce(int, int) override { return {}; }
  Buffer allocate(GroupChannel&, std::int64_t bytes, MemoryKind kind) override {
    return device_->allocate(bytes, kind);
  }
  bool has_common() const override { return offered_ == CommonMemory::of_groups; }
  Buffer allocate_common(GroupChannel& channel, std::int64_t bytes, MemoryKind kind) override {
    constexpr std::string_view kOperation = "allocate_common";
    if (bytes == 0) return {};
    if (rank_ == 0) group_->common.buffers.push_back(group_->common.device->allocate(bytes, MemoryKind::buffers));
    channel.meet(Lane::setup, kOperation);
    std::byte* const data = group_->common.buffers.back().data();
    channel.meet(Lane::setup, kOperation);  // only now may another be made
    return common_.add({}, data, bytes, kind, device_->ledger(), narrow<int>(std::ssize(group_->members)));
  }
  bool is_common(const TensorView& view) const override { return common_.contain(view); }

 private:
  SimulatedGroup* group_;
  int rank_;
  Device* device_;
  CommonMemory offered_;
  struct Nothing {};  // the group owns them
  CommonPieces<Nothing> common_;
};

}  // namespace

class SimulatedWorld::Hub {
 public:
  Hub(int ranks, CommonMemory common) : ranks_(ranks), common_(common) {}
  int size() const { return ranks_; }
  CommonMemory common() const { return common_; }

  /// The group of the `call`-th `make` of every rank; the first to come creates it.
  SimulatedGroup& group(int call, const std::vector<int>& members) {
    const std::lock_guard lock(mutex_);
    const auto [place, created] = groups_.try_emplace({call, members}, members);
    if (created && !abort_reason_.empty()) raise_abort(place->second.blocks.front(), abort_reason_);
    return place->second;
  }

  void abort(std::string_view reason) {
    const std::lock_guard lock(mutex_);
    if (abort_reason_.empty()) abort_reason_ = reason;
    for (auto& [key, group] : groups_) raise_abort(group.blocks.front(), reason);
  }

 private:
  int ranks_;
  CommonMemory common_;
  std::mutex mutex_;
  std::map<std::pair<int, std::vector<int>>, SimulatedGroup> groups_;
  std::string abort_reason_;
};

namespace {

GroupIdentity identity_of(const MeshGroup& group, int world_rank, const std::string& host) {
  GroupIdentity identity{.axis = group.axis, .rank = 0, .members = {}};
  for (const int member : group.members) {
    if (member == world_rank) identity.rank = identity.size();
    identity.members.push_back({.world_rank = member, .host = host, .process = 0});
  }
  return identity;
}

class SimulatedTransport final : public Mesh::Transport {
 public:
  SimulatedTransport(SimulatedWorld::Hub& hub, int rank) : hub_(&hub), rank_(rank), host_(host_name()) {}
  int rank() const override { return rank_; }
  int size() const override { return hub_->size(); }
  std::string host() const override { return host_; }
  NodePlace place() const override {
    const std::vector<CpuMask> masks(static_cast<std::size_t>(size()), allowed_cpus());
    return {.rank_on_node = rank_, .ranks_on_node = size(), .threads = fair_threads(masks, rank_)};
  }

  std::unique_ptr<Communicator> make(const MeshGroup& group, Device& device) override {
    const int call = calls_++;
    if (!group.contains(rank_)) return nullptr;
    if (group.members.size() == 1) return make_self_communicator(device);
    GroupIdentity identity = identity_of(group, rank_, host_);
    auto memory =
        std::make_unique<ThreadMemory>(hub_->group(call, group.members), identity.rank, device, hub_->common());
    return std::make_unique<WindowCommunicator>("simulated", std::move(identity), std::move(memory));
  }
  std::int64_t transit_bytes(const MeshGroup&) const override { return 0; }  // threads read each other's memory

 private:
  SimulatedWorld::Hub* hub_;
  int rank_;
  std::string host_;
  int calls_ = 0;
};

class SelfTransport final : public Mesh::Transport {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::string host() const override { return host_name(); }
  NodePlace place() const override {
    const CpuMask mask = allowed_cpus();
    return {.rank_on_node = 0, .ranks_on_node = 1, .threads = fair_threads({&mask, 1}, 0)};
  }
  std::unique_ptr<Communicator> make(const MeshGroup& group, Device& device) override {
    FERULA_CHECK(group.members == std::vector<int>{0}, "one rank cannot make group '{}' of {}", group.axis,
                 group.members.size());
    return make_self_communicator(device);
  }
  std::int64_t transit_bytes(const MeshGroup&) const override { return 0; }
};

}  // namespace

SimulatedWorld::SimulatedWorld(int ranks, CommonMemory common) : hub_(std::make_unique<Hub>(ranks, common)) {
  if (ranks < 1) throw ConfigError(fmt::format("expected at least 1 simulated rank, found {}", ranks));
}
SimulatedWorld::~SimulatedWorld() = default;
int SimulatedWorld::size() const { return hub_->size(); }
void SimulatedWorld::abort(std::string_view reason) { hub_->abort(reason); }

std::unique_ptr<Mesh::Transport> SimulatedWorld::transport(int rank) {
  FERULA_CHECK(rank >= 0 && rank < size(), "simulated rank {} of {}", rank, size());
  return std::make_unique<SimulatedTransport>(*hub_, rank);
}

std::unique_ptr<Mesh::Transport> make_self_transport() { return std::make_unique<SelfTransport>(); }

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "unknown host";
  return name.data();
}

}  // namespace ferula
