// What all communicators over host memory share: checks of the arguments, the order of the stream, grouped messages.
#pragma once

#include <vector>

#include "comm/group_identity.hpp"
#include "comm/message_group.hpp"

namespace ferula {

/// Turns the calls of the interface into blocking `run_…` calls in the order of the stream.
class HostCommunicator : public Communicator {
 public:
  int rank() const final { return identity_.rank; }
  int size() const final { return identity_.size(); }

  void all_reduce(Stream& stream, TensorView inout, ReduceOp op) final;
  void all_gather(Stream& stream, TensorView shard, TensorView whole) final;
  void reduce_scatter(Stream& stream, TensorView whole, TensorView shard, ReduceOp op) final;
  void broadcast(Stream& stream, TensorView inout, int root) final;
  void send(Stream& stream, TensorView data, int to) final;
  void receive(Stream& stream, TensorView data, int from) final;
  void group_begin() final { group_.begin(); }
  void group_end() final { group_.end(); }

 protected:
  explicit HostCommunicator(GroupIdentity identity) : identity_(std::move(identity)) {}
  const GroupIdentity& identity() const { return identity_; }

  /// Blocking forms; operands are contiguous, not empty, and of the promised sizes.
  virtual void run_all_reduce(TensorView inout, ReduceOp op) = 0;
  virtual void run_all_gather(TensorView shard, TensorView whole) = 0;
  virtual void run_reduce_scatter(TensorView whole, TensorView shard, ReduceOp op) = 0;
  virtual void run_broadcast(TensorView inout, int root) = 0;
  /// All messages progress together; those to (or from) one peer in the given order.
  virtual void run_messages(const std::vector<Message>& messages) = 0;

 private:
  void give(Stream& stream, const Message& message);
  void exchange(Stream& stream, std::vector<Message> messages);

  GroupIdentity identity_;
  MessageGroup group_{[this](Stream& stream, std::vector<Message> messages) { exchange(stream, std::move(messages)); }};
};

}  // namespace ferula
