#include "comm/window_communicator.hpp"

#include "comm/eager_exchange.hpp"
#include "comm/element_copies.hpp"
#include "comm/ordered_reduce.hpp"
#include "comm/window_exchange.hpp"
#include "device/host_processor.hpp"

namespace ferula {
namespace {

using Kind = CollectiveCall::Kind;
using Chunk = WindowExchange::Chunk;
using Piece = WindowExchange::Piece;

std::vector<RankBlock*> blocks_of(PeerMemory& memory, int ranks) {
  std::vector<RankBlock*> blocks;
  for (int rank = 0; rank < ranks; ++rank) blocks.push_back(&memory.block(rank));
  return blocks;
}

/// The share of `rank` when `chunk` is cut into nearly equal ranges.
Chunk share_of(Chunk chunk, int rank, int ranks) {
  const std::int64_t begin = chunk.length * rank / ranks;
  return {chunk.begin + begin, chunk.length * (rank + 1) / ranks - begin};
}

/// Copies a part of a result of `all_bytes`: past the caches where these could not keep it.
void deliver(const TensorView& from, const TensorView& to, std::int64_t all_bytes) {
  all_bytes >= kMoreThanCached ? stream_elements(from, to) : copy_elements(from, to);
}

}  // namespace

WindowCommunicator::WindowCommunicator(std::string_view kind, GroupIdentity identity,
                                       std::unique_ptr<PeerMemory> memory, const MeetingTimes& times)
    : HostCommunicator(std::move(identity)),
      kind_(kind),
      memory_(std::move(memory)),
      channel_(HostCommunicator::identity(), blocks_of(*memory_, size()), times),
      operands_(static_cast<std::size_t>(size())) {}

void WindowCommunicator::run_all_reduce(TensorView inout, ReduceOp op) {
  const CollectiveCall call{Kind::all_reduce, inout.dtype, inout.count(), static_cast<std::int64_t>(op)};
  if (EagerExchange::suits(inout)) return reduce_given(call, inout, inout, 0, op);
  WindowExchange exchange(identity(), channel_, *memory_, call, inout, 1);
  exchange.bring_results_back();
  exchange.keep([&](Chunk chunk) { return Piece{0, share_of(chunk, rank(), size())}; });
  exchange.for_each_chunk([&](Chunk chunk) {
    const Chunk mine = share_of(chunk, rank(), size());
    if (mine.length == 0) return;
    for (int peer = 0; peer < size(); ++peer) operands_[static_cast<std::size_t>(peer)] = exchange.at(peer, 0, mine);
    reduce_in_order(operands_, operands_, op);  // nobody else touches this range: the result goes to all at once
  });
}

void WindowCommunicator::reduce_given(const CollectiveCall& call, const TensorView& operand, const TensorView& result,
                                      std::int64_t offset, ReduceOp op) {
  const EagerExchange given(channel_, call, operand);
  for (int peer = 0; peer < size(); ++peer) {
    TensorView& part = operands_[static_cast<std::size_t>(peer)];
    part = result;
    part.data = given.await(peer) + offset;
  }
  reduce_in_order(operands_, {&result, 1}, op);
}

void WindowCommunicator::run_all_gather(TensorView shard, TensorView whole) {
  const bool common = memory_->is_common(whole);
  const CollectiveCall call{Kind::all_gather, whole.dtype, whole.count(), common ? kIntoCommonMemory : 0};
  const auto part_of = [&](int peer) { return whole.range(peer * shard.count(), shard.count()); };
  if (common) {
    copy_elements(shard, part_of(rank()));
    const EagerExchange arrival(channel_, call, {});
    for (int peer = 0; peer < size(); ++peer) arrival.await(peer);
    return;
  }
  if (EagerExchange::suits(shard)) {
    const EagerExchange given(channel_, call, shard);
    const std::int64_t bytes = shard.bytes();
    for (int peer = 0; peer < size(); ++peer)
      if (std::byte* const to = whole.data + peer * bytes; to != shard.data) std::copy_n(given.await(peer), bytes, to);
    return;
  }
  WindowExchange exchange(identity(), channel_, *memory_, call, shard, 1);
  exchange.for_each_chunk([&](Chunk chunk) {
    for (int peer = 0; peer < size(); ++peer) {
      const TensorView target = part_of(peer).range(chunk.begin, chunk.length);
      deliver(exchange.at(peer, 0, chunk), target, whole.bytes());
    }
  });
}

void WindowCommunicator::run_reduce_scatter(TensorView whole, TensorView shard, ReduceOp op) {
  const CollectiveCall call{Kind::reduce_scatter, whole.dtype, whole.count(), static_cast<std::int64_t>(op)};
  if (EagerExchange::suits(whole)) return reduce_given(call, whole, shard, rank() * shard.bytes(), op);
  WindowExchange exchange(identity(), channel_, *memory_, call, whole, size());
  exchange.keep([&](Chunk chunk) { return Piece{rank(), chunk}; });
  exchange.for_each_chunk([&](Chunk chunk) {
    for (int peer = 0; peer < size(); ++peer)
      operands_[static_cast<std::size_t>(peer)] = exchange.at(peer, rank(), chunk);
    const TensorView result = shard.range(chunk.begin, chunk.length);
    reduce_in_order(operands_, {&result, 1}, op);
  });
}

void WindowCommunicator::run_broadcast(TensorView inout, int root) {
  const CollectiveCall call{Kind::broadcast, inout.dtype, inout.count(), root};
  if (EagerExchange::suits(inout)) {
    const EagerExchange given(channel_, call, inout);
    for (int peer = 0; peer < size(); ++peer) {  // the root, too, so that nobody leaves before all have come
      const std::byte* const values = given.await(peer);
      if (peer == root && rank() != root) std::copy_n(values, inout.bytes(), inout.data);
    }
    return;
  }
  WindowExchange exchange(identity(), channel_, *memory_, call, inout, 1);
  if (rank() != root) exchange.keep([](Chunk chunk) { return Piece{0, chunk}; });
  exchange.for_each_chunk([&](Chunk chunk) {
    if (rank() != root) deliver(exchange.at(root, 0, chunk), inout.range(chunk.begin, chunk.length), inout.bytes());
  });
}

}  // namespace ferula
