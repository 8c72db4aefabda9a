#include "comm/mpi_communicator.hpp"

#include <algorithm>

#include "comm/element_copies.hpp"
#include "comm/ordered_reduce.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kOneRoundBytes = 4096;  // up to here one exchange of whole operands beats two of parts

}  // namespace

std::int64_t mpi_transit_bytes(int ranks, std::int64_t staging_bytes) {
  return std::max<std::int64_t>(staging_bytes, 8 * ranks);
}

MpiCommunicator::MpiCommunicator(GroupIdentity identity, MpiComm comm, Device& device, std::int64_t staging_bytes,
                                 std::int64_t message_limit_bytes)
    : HostCommunicator(std::move(identity)),
      device_(&device),
      line_(HostCommunicator::identity(), std::move(comm), message_limit_bytes),
      staging_(device.allocate(mpi_transit_bytes(size(), staging_bytes), MemoryKind::buffers)) {}

MpiCommunicator::~MpiCommunicator() = default;

std::int64_t MpiCommunicator::part_limit(DType dtype) const { return staging_.bytes() / bytes_of(dtype) / size(); }

template <class PartOf>
void MpiCommunicator::reduce_parts(std::string_view operation, PartOf part_of, TensorView result, ReduceOp op) {
  const TensorView arrivals = staging_.flat(result.dtype);
  std::vector<TensorView> operands(static_cast<std::size_t>(size()));
  MpiRequests transfers(line_, operation);
  for (int peer = 0; peer < size(); ++peer) {
    TensorView& operand = operands[static_cast<std::size_t>(peer)];
    operand = peer == rank() ? part_of(rank()) : arrivals.range(peer * part_limit(result.dtype), result.count());
    if (peer != rank()) transfers.receive(operand, peer, MpiTag::collective);
  }
  for (int peer = 0; peer < size(); ++peer)
    if (peer != rank()) transfers.send(part_of(peer), peer, MpiTag::collective);
  transfers.wait();
  if (!result.empty()) reduce_in_order(operands, {&result, 1}, op);
}

void MpiCommunicator::run_all_reduce(TensorView inout, ReduceOp op) {
  constexpr std::string_view kOperation = "all_reduce";
  line_.throw_if_aborted(kOperation);
  if (inout.bytes() <= kOneRoundBytes && inout.count() <= part_limit(inout.dtype))
    return reduce_parts(
        kOperation, [&](int) { return inout; }, inout, op);
  const std::int64_t limit = part_limit(inout.dtype) * size();
  for (std::int64_t begin = 0; begin < inout.count(); begin += limit) {
    const std::int64_t length = std::min(limit, inout.count() - begin);
    const auto part_of = [&](int peer) {
      const std::int64_t first = length * peer / size();
      return inout.range(begin + first, length * (peer + 1) / size() - first);
    };
    reduce_parts(kOperation, part_of, part_of(rank()), op);
    MpiRequests transfers(line_, kOperation);
    for (int peer = 0; peer < size(); ++peer)
      if (peer != rank()) transfers.receive(part_of(peer), peer, MpiTag::collective);
    for (int peer = 0; peer < size(); ++peer)
      if (peer != rank()) transfers.send(part_of(rank()), peer, MpiTag::collective);
    transfers.wait();
  }
}

void MpiCommunicator::run_all_gather(TensorView shard, TensorView whole) {
  constexpr std::string_view kOperation = "all_gather";
  line_.throw_if_aborted(kOperation);
  MpiRequests transfers(line_, kOperation);
  for (int peer = 0; peer < size(); ++peer)
    if (peer != rank()) transfers.receive(whole.range(peer * shard.count(), shard.count()), peer, MpiTag::collective);
  for (int peer = 0; peer < size(); ++peer)
    if (peer != rank()) transfers.send(shard, peer, MpiTag::collective);
  transfers.wait();
  copy_elements(shard, whole.range(rank() * shard.count(), shard.count()));
}

void MpiCommunicator::run_reduce_scatter(TensorView whole, TensorView shard, ReduceOp op) {
  constexpr std::string_view kOperation = "reduce_scatter";
  line_.throw_if_aborted(kOperation);
  const std::int64_t limit = part_limit(whole.dtype);
  for (std::int64_t begin = 0; begin < shard.count(); begin += limit) {
    const std::int64_t length = std::min(limit, shard.count() - begin);
    const auto part_of = [&](int peer) { return whole.range(peer * shard.count() + begin, length); };
    reduce_parts(kOperation, part_of, shard.range(begin, length), op);
  }
}

void MpiCommunicator::run_broadcast(TensorView inout, int root) {
  constexpr std::string_view kOperation = "broadcast";
  line_.throw_if_aborted(kOperation);
  const int place = (rank() - root + size()) % size();  // in a binomial tree with the root at 0
  int reach = 1;
  while (reach < size() && (place & reach) == 0) reach *= 2;
  const auto rank_at = [&](int other) { return (other + root) % size(); };
  MpiRequests transfers(line_, kOperation);
  if (place != 0) transfers.receive(inout, rank_at(place - reach), MpiTag::collective);
  transfers.wait();
  for (int child = reach / 2; child > 0; child /= 2)
    if (place + child < size()) transfers.send(inout, rank_at(place + child), MpiTag::collective);
  transfers.wait();
}

void MpiCommunicator::run_messages(const std::vector<Message>& messages) {
  const std::string_view operation = operation_of(messages);
  line_.throw_if_aborted(operation);
  MpiRequests transfers(line_, operation);
  for (const Message& message : messages) {
    if (message.direction == Message::Direction::send) {
      transfers.send(message.data, message.peer, MpiTag::message);
    } else {
      transfers.receive(message.data, message.peer, MpiTag::message);
    }
  }
  transfers.wait();
}

}  // namespace ferula
