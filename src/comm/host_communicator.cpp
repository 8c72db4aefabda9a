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

void HostCommunicator::give(Stream& stream, const Message& message) {
  check_operand(message.data);
  check_peer(message.peer, rank(), size());
  if (message.data.empty()) return;
  group_.give(stream, message);
}

void HostCommunicator::exchange(Stream& stream, std::vector<Message> messages) {
  stream.run([this, messages = std::move(messages)] { run_messages(messages); });
}

}  // namespace ferula
