#include "comm/host_communicator.hpp"

#include <utility>

#include "comm/operands.hpp"

namespace ferula {
void HostCommunicator::all_reduce(Stream& stream, TensorView inout, ReduceOp op) {
  check_operand(inout);
  check_reducible(inout.dtype);
  if (inout.empty()) return;
  stream.run([this, inout, op] { run_all_reduce(inout, op); });
}

void HostCommunicator::all_gather(Stream& stream, TensorView shard, TensorView whole) {
  check_parts(shard, whole, size());
  if (whole.empty()) return;
  stream.run([this, shard, whole] { run_all_gather(shard, whole); });
}

void HostCommunicator::reduce_scatter(Stream& stream, TensorView whole, TensorView shard, ReduceOp op) {
  check_parts(shard, whole, size());
  check_reducible(whole.dtype);
  if (whole.empty()) return;
  stream.run([this, whole, shard, op] { run_reduce_scatter(whole, shard, op); });
}

void HostCommunicator::broadcast(Stream& stream, TensorView inout, int root) {
  check_operand(inout);
  check_root(root, size());
  if (inout.empty()) return;
  stream.run([this, inout, root] { run_broadcast(inout, root); });
}

void HostCommunicator::send(Stream& stream, TensorView data, int to) {
  give(stream, {Message::Direction::send, to, data});
}

void HostCommunicator::receive(Stream& stream, TensorView data, int from) {
  give(stream, {Message::Direction::receive, from, data});
}

void HostCommunicator::group_begin() {
  FERULA_CHECK(!grouping_, "groups of messages do not nest");
  grouping_ = true;
  grouped_stream_ = nullptr;
}

void HostCommunicator::group_end() {
  FERULA_CHECK(grouping_, "group_end without group_begin");
  grouping_ = false;
  if (grouped_.empty()) return;
  grouped_stream_->run([this, messages = std::exchange(grouped_, {})] { run_messages(messages); });
}

void HostCommunicator::give(Stream& stream, const Message& message) {
  check_operand(message.data);
  check_peer(message.peer, rank(), size());
  if (message.data.empty()) return;
  if (!grouping_) {
    stream.run([this, message] { run_messages({message}); });
    return;
  }
  FERULA_CHECK(grouped_stream_ == nullptr || grouped_stream_ == &stream, "one group of messages uses one stream");
  grouped_stream_ = &stream;
  grouped_.push_back(message);
}

}  // namespace ferula
