// NCCL without a GPU: ranks that are threads exchange the memory of far devices, and whatever can go wrong does on
// demand.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "comm/nccl_api.hpp"
#include "comm/simulated_transport.hpp"
#include "comm/staged_communicator.hpp"
#include "support/far_device.hpp"

namespace ferula::test {

/// What one rank's NCCL does. Changed by the rank while nothing is under way.
struct NcclBehaviour {
  int version = 22809;
  bool shares_gpus = false;
  std::string gpu = {};          // empty: one of its own
  std::string id_error = {};     // make_id fails with these words
  std::string start_error = {};  // begin succeeds, a poll then fails
  bool never_ready = false;
  std::string call_error = {};   // a collective is refused
  bool hangs = false;            // a collective never ends, until it is aborted
  bool marks_wait = false;       // a mark waits for its stream, as where the host has tasks in its order
  std::string later_error = {};  // polls fail once a collective was accepted
};

/// Where the fakes of all ranks meet.
class FakeNcclWorld {
 public:
  SimulatedWorld& group(const NcclId& id, int ranks) {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<SimulatedWorld>& world = groups_[id.bytes];
    if (world == nullptr) world = std::make_unique<SimulatedWorld>(ranks);
    return *world;
  }
  NcclId next_id() {
    NcclId id;
    id.bytes[0] = static_cast<char>(++ids_);
    return id;
  }

 private:
  std::mutex mutex_;
  std::map<std::array<char, 128>, std::unique_ptr<SimulatedWorld>> groups_;
  std::atomic<int> ids_{0};
};

class FakeNccl final : public NcclApi {
 public:
  FakeNccl(FakeNcclWorld& world, FarDevice& device, int world_rank, NcclBehaviour& behaviour)
      : world_(&world),
        device_(&device),
        behaviour_(&behaviour),
        gpu_("cuda:" + std::to_string(world_rank) + " FAKE") {}

  int version() const override { return behaviour_->version; }
  std::string gpu() const override { return behaviour_->gpu.empty() ? gpu_ : behaviour_->gpu; }
  bool shares_gpus() const override { return behaviour_->shares_gpus; }
  bool reaches(const std::byte* data) const override { return FarDevice::is_far(data); }

  NcclResult make_id(NcclId& id) override {
    id = world_->next_id();
    return result_of(behaviour_->id_error);
  }
  NcclResult begin(NcclComm& comm, const NcclId& id, int rank, int ranks) override {
    auto made = std::make_unique<Group>();
    MeshGroup members{.axis = "fake", .members = {}};
    for (int member = 0; member < ranks; ++member) members.members.push_back(member);
    made->transport = world_->group(id, ranks).transport(rank);
    made->host = make_cpu_device(device_->ledger());
    made->wire = make_staged_communicator(made->transport->make(members, *made->host), *device_, {.chunk_bytes = 4096});
    comm = made.get();
    const std::lock_guard lock(mutex_);
    groups_.push_back(std::move(made));
    return {.status = NcclResult::Status::in_progress};
  }
  NcclResult poll(NcclComm comm) override {
    if (!behaviour_->start_error.empty()) return result_of(behaviour_->start_error);
    if (behaviour_->never_ready) return {.status = NcclResult::Status::in_progress};
    const std::lock_guard lock(mutex_);
    if (async_error) return result_of(*async_error);
    if (accepted_ && !behaviour_->later_error.empty()) return result_of(behaviour_->later_error);
    const bool done = static_cast<Group*>(comm)->polls++ % 3 == 2;
    accepted_ = accepted_ || (done && calls > 0);
    return {.status = done ? NcclResult::Status::success : NcclResult::Status::in_progress};
  }
  void abort(NcclComm comm) noexcept override {
    static_cast<Group*>(comm)->aborted = true;
    static_cast<Group*>(comm)->wire->abort("ncclCommAbort");
    ++aborts;
  }
  void destroy(NcclComm) noexcept override { ++destroys; }

  NcclResult all_reduce(NcclComm comm, Stream& stream, const TensorView& inout, ReduceOp op) override {
    return call(comm, stream, [&](Communicator& wire) { wire.all_reduce(stream, inout, op); });
  }
  NcclResult all_gather(NcclComm comm, Stream& stream, const TensorView& shard, const TensorView& whole) override {
    return call(comm, stream, [&](Communicator& wire) { wire.all_gather(stream, shard, whole); });
  }
  NcclResult reduce_scatter(NcclComm comm, Stream& stream, const TensorView& whole, const TensorView& shard,
                            ReduceOp op) override {
    return call(comm, stream, [&](Communicator& wire) { wire.reduce_scatter(stream, whole, shard, op); });
  }
  NcclResult broadcast(NcclComm comm, Stream& stream, const TensorView& inout, int root) override {
    return call(comm, stream, [&](Communicator& wire) { wire.broadcast(stream, inout, root); });
  }
  NcclResult exchange(NcclComm comm, Stream& stream, std::span<const Message> messages) override {
    return call(comm, stream, [&](Communicator& wire) { give_all(wire, stream, messages); });
  }

  void settle(Stream& stream) override {
    if (behaviour_->marks_wait) stream.synchronize();
  }
  NcclMark mark(Stream& stream) override {
    settle(stream);
    const std::lock_guard lock(mutex_);
    marks_.push_back(std::make_unique<Mark>());
    stream.run([mark = marks_.back().get()] { mark->reach(); });
    return static_cast<NcclMark>(marks_.size()) - 1;
  }
  bool is_reached(NcclMark mark) override {
    const std::lock_guard lock(mutex_);
    return marks_[static_cast<std::size_t>(mark)]->reached;
  }
  void fail(NcclMark mark, std::exception_ptr error) override {
    const std::lock_guard lock(mutex_);
    marks_[static_cast<std::size_t>(mark)]->fail(std::move(error));
  }
  void forget(NcclMark) override {}

  void set_async_error(std::string words) {
    const std::lock_guard lock(mutex_);
    async_error = std::move(words);
  }

  std::atomic<int> calls{0}, aborts{0}, destroys{0};

 private:
  struct Group {
    std::unique_ptr<Device> host;
    std::unique_ptr<Mesh::Transport> transport;
    std::unique_ptr<Communicator> wire;
    std::atomic<bool> aborted{false};
    int polls = 0;
  };

  /// A task of its stream, which throws where the stream was failed before.
  struct Mark {
    std::atomic<bool> reached{false};
    std::mutex mutex;
    std::exception_ptr error;

    void reach() {
      const std::lock_guard lock(mutex);
      if (error) std::rethrow_exception(error);
      reached = true;
    }
    void fail(std::exception_ptr why) {
      const std::lock_guard lock(mutex);
      error = std::move(why);
    }
  };

  static NcclResult result_of(const std::string& error) {
    if (error.empty()) return {};
    return {.status = NcclResult::Status::failed, .words = error};
  }

  template <class Collective>
  NcclResult call(NcclComm comm, Stream& stream, Collective collective) {
    ++calls;
    if (!behaviour_->call_error.empty()) return result_of(behaviour_->call_error);
    Group& group = *static_cast<Group*>(comm);
    if (behaviour_->hangs) {
      stream.run([&group] {
        while (!group.aborted) std::this_thread::yield();
      });
    } else {
      collective(*group.wire);
    }
    return {.status = NcclResult::Status::in_progress};  // as NCCL may: a poll then tells
  }

  FakeNcclWorld* world_;
  FarDevice* device_;
  NcclBehaviour* behaviour_;
  std::string gpu_;
  std::mutex mutex_;
  bool accepted_ = false;
  std::optional<std::string> async_error;
  std::vector<std::unique_ptr<Group>> groups_;  // also those that were freed: the tasks of a stream may still look
  std::vector<std::unique_ptr<Mark>> marks_;
};

}  // namespace ferula::test
