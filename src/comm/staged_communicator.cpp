#include "comm/staged_communicator.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/narrow.hpp"
#include "comm/message_group.hpp"
#include "comm/operands.hpp"

namespace ferula {
namespace {

/// Elements of `dtype` in `bytes`, whole blocks and at least one.
std::int64_t elements_in(std::int64_t bytes, DType dtype) {
  const DTypeBlock block = block_of(dtype);
  return std::max<std::int64_t>(bytes / block.bytes, 1) * block.elements;
}

/// Calls visit(begin, length) for the pieces of `count` elements, none longer than `limit`.
template <class Visit>
void for_each_piece(std::int64_t count, std::int64_t limit, Visit visit) {
  for (std::int64_t begin = 0; begin < count; begin += limit) visit(begin, std::min(limit, count - begin));
}

class StagedCommunicator final : public Communicator {
 public:
  StagedCommunicator(std::unique_ptr<Communicator> inner, Device& device, const StagedOptions& options)
      : inner_(std::move(inner)),
        device_(&device),
        options_(options),
        kind_(fmt::format("staged {}{}", inner_->kind(),
                          options.why.empty() ? "" : fmt::format(" (no NCCL: {})", options.why))),
        staging_(device.allocate_shared(staged_transit_bytes(inner_->size(), options), MemoryKind::buffers)) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  std::string_view kind() const override { return kind_; }

  void all_reduce(Stream& stream, TensorView inout, ReduceOp op) override;
  void all_gather(Stream& stream, TensorView shard, TensorView whole) override;
  void reduce_scatter(Stream& stream, TensorView whole, TensorView shard, ReduceOp op) override;
  void broadcast(Stream& stream, TensorView inout, int root) override;
  void send(Stream& stream, TensorView data, int to) override { give(stream, {Message::Direction::send, to, data}); }
  void receive(Stream& stream, TensorView data, int from) override {
    give(stream, {Message::Direction::receive, from, data});
  }
  void group_begin() override { group_.begin(); }
  void group_end() override { group_.end(); }

  Buffer allocate(std::int64_t bytes, MemoryKind kind) override { return device_->allocate(bytes, kind); }
  std::chrono::milliseconds set_timeout(std::chrono::milliseconds timeout) override {
    return inner_->set_timeout(timeout);
  }
  void abort(std::string_view reason) override { inner_->abort(reason); }

 private:
  /// Elements that each of `parts` equal parts of the staging memory holds.
  std::int64_t limit(DType dtype, int parts) const { return elements_in(staging_.bytes() / parts, dtype); }
  TensorView staged(DType dtype, std::int64_t count) const { return {staging_.data(), dtype, {count}}; }
  void copy(Stream& stream, const TensorView& from, const TensorView& to) {
    if (from.data != to.data) device_->copy(stream, from.data, to.data, from.bytes());
  }

  void give(Stream& stream, const Message& message);
  /// Passes pieces on as one group of `inner`; each has its place in the staging memory of messages.
  void exchange(Stream& stream, const std::vector<Message>& pieces);
  void reserve_for_messages(Stream& stream, std::int64_t bytes);

  std::unique_ptr<Communicator> inner_;
  Device* device_;
  StagedOptions options_;
  std::string kind_;
  Buffer staging_;   // of collectives: [chunk] or [size, part]
  Buffer messages_;  // apart: a group's messages and its collectives may be on two streams
  MessageGroup group_{[this](Stream& stream, const std::vector<Message>& pieces) { exchange(stream, pieces); }};
};

void StagedCommunicator::all_reduce(Stream& stream, TensorView inout, ReduceOp op) {
  check_operand(inout);
  check_reducible(inout.dtype);
  if (inout.empty()) return;
  for_each_piece(inout.count(), limit(inout.dtype, 1), [&](std::int64_t begin, std::int64_t length) {
    const TensorView piece = inout.range(begin, length), here = staged(inout.dtype, length);
    copy(stream, piece, here);
    inner_->all_reduce(stream, here, op);
    copy(stream, here, piece);
  });
}

void StagedCommunicator::all_gather(Stream& stream, TensorView shard, TensorView whole) {
  check_parts(shard, whole, size());
  if (whole.empty()) return;
  for_each_piece(shard.count(), limit(shard.dtype, size()), [&](std::int64_t begin, std::int64_t length) {
    const TensorView here = staged(shard.dtype, length * size());  // [size, length]
    const TensorView mine = here.range(rank() * length, length);
    copy(stream, shard.range(begin, length), mine);
    inner_->all_gather(stream, mine, here);
    if (length == shard.count()) return copy(stream, here, whole);
    for (int peer = 0; peer < size(); ++peer)
      copy(stream, here.range(peer * length, length), whole.range(peer * shard.count() + begin, length));
  });
}

void StagedCommunicator::reduce_scatter(Stream& stream, TensorView whole, TensorView shard, ReduceOp op) {
  check_parts(shard, whole, size());
  check_reducible(whole.dtype);
  if (whole.empty()) return;
  for_each_piece(shard.count(), limit(shard.dtype, size()), [&](std::int64_t begin, std::int64_t length) {
    const TensorView here = staged(shard.dtype, length * size());  // [size, length]
    const TensorView mine = here.range(rank() * length, length);
    if (length == shard.count()) {
      copy(stream, whole, here);
    } else {
      for (int peer = 0; peer < size(); ++peer)
        copy(stream, whole.range(peer * shard.count() + begin, length), here.range(peer * length, length));
    }
    inner_->reduce_scatter(stream, here, mine, op);
    copy(stream, mine, shard.range(begin, length));
  });
}

void StagedCommunicator::broadcast(Stream& stream, TensorView inout, int root) {
  check_operand(inout);
  check_root(root, size());
  if (inout.empty()) return;
  for_each_piece(inout.count(), limit(inout.dtype, 1), [&](std::int64_t begin, std::int64_t length) {
    const TensorView piece = inout.range(begin, length), here = staged(inout.dtype, length);
    if (rank() == root) copy(stream, piece, here);
    inner_->broadcast(stream, here, root);
    if (rank() != root) copy(stream, here, piece);
  });
}

void StagedCommunicator::give(Stream& stream, const Message& message) {
  check_operand(message.data);
  check_peer(message.peer, rank(), size());
  if (message.data.empty()) return;
  // Cut alike whether grouped or not: a grouped message may meet one that is not.
  const std::int64_t piece = elements_in(options_.message_chunk_bytes, message.data.dtype);
  for_each_piece(message.data.count(), piece, [&](std::int64_t begin, std::int64_t length) {
    group_.give(stream, {message.direction, message.peer, message.data.range(begin, length)});
  });
}

void StagedCommunicator::exchange(Stream& stream, const std::vector<Message>& pieces) {
  constexpr std::int64_t kAlignment = 64;
  std::int64_t bytes = 0;
  for (const Message& piece : pieces) bytes += round_up(piece.data.bytes(), kAlignment);
  reserve_for_messages(stream, bytes);
  std::vector<Message> here = pieces;  // the same in the staging memory
  std::byte* place = messages_.data();
  for (Message& piece : here) {
    piece.data.data = place;
    place += round_up(piece.data.bytes(), kAlignment);
  }

  for (std::size_t index = 0; index < pieces.size(); ++index)
    if (pieces[index].direction == Message::Direction::send) copy(stream, pieces[index].data, here[index].data);
  give_all(*inner_, stream, here);
  for (std::size_t index = 0; index < pieces.size(); ++index)
    if (pieces[index].direction == Message::Direction::receive) copy(stream, here[index].data, pieces[index].data);
}

void StagedCommunicator::reserve_for_messages(Stream& stream, std::int64_t bytes) {
  if (bytes <= messages_.bytes()) return;
  stream.synchronize();  // earlier messages leave the memory that is given back
  messages_.reset();
  messages_ = device_->allocate_shared(std::max(bytes, options_.message_chunk_bytes), MemoryKind::buffers);
}

}  // namespace

std::int64_t staged_transit_bytes(int ranks, const StagedOptions& options) {
  return std::max<std::int64_t>(options.chunk_bytes, 8 * ranks);
}

std::unique_ptr<Communicator> make_staged_communicator(std::unique_ptr<Communicator> inner, Device& device,
                                                       const StagedOptions& options) {
  return std::make_unique<StagedCommunicator>(std::move(inner), device, options);
}

}  // namespace ferula
