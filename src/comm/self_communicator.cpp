#include "comm/self_communicator.hpp"

namespace ferula {
namespace {

class SelfCommunicator final : public Communicator {
 public:
  explicit SelfCommunicator(Device& device) : device_(&device) {}
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::string_view kind() const override { return "self"; }

  void all_reduce(Stream&, TensorView, ReduceOp) override {}
  void all_gather(Stream& stream, TensorView shard, TensorView whole) override { copy(stream, shard, whole); }
  void reduce_scatter(Stream& stream, TensorView whole, TensorView shard, ReduceOp) override {
    copy(stream, whole, shard);
  }
  void broadcast(Stream&, TensorView, int root) override { FERULA_CHECK(root == 0, "root {} of one rank", root); }
  void send(Stream&, TensorView, int to) override { FERULA_CHECK(false, "one rank alone cannot send to rank {}", to); }
  void receive(Stream&, TensorView, int from) override {
    FERULA_CHECK(false, "one rank alone cannot receive from rank {}", from);
  }
  void group_begin() override {}
  void group_end() override {}

  Buffer allocate(std::int64_t bytes, MemoryKind kind) override { return device_->allocate(bytes, kind); }
  std::chrono::milliseconds set_timeout(std::chrono::milliseconds) override { return {}; }
  void abort(std::string_view) override {}

 private:
  void copy(Stream& stream, TensorView from, TensorView to) {
    FERULA_CHECK(from.contiguous() && to.contiguous() && from.dtype == to.dtype && from.count() == to.count(),
                 "cannot copy {} × {} to {} × {}", name_of(from.dtype), from.count(), name_of(to.dtype), to.count());
    if (from.data == to.data || from.empty()) return;
    device_->copy(stream, from.data, to.data, from.bytes());
  }

  Device* device_;
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator(Device& device) {
  return std::make_unique<SelfCommunicator>(device);
}

}  // namespace ferula
