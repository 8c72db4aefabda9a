#include "comm/window_exchange.hpp"

#include <algorithm>

#include "comm/element_copies.hpp"

namespace ferula {

WindowExchange::WindowExchange(const GroupIdentity& identity, GroupChannel& channel, PeerMemory& memory,
                               const CollectiveCall& call, TensorView operand, int parts)
    : identity_(identity), channel_(channel), memory_(memory), call_(call), operand_(operand), parts_(parts) {}

void WindowExchange::for_each_chunk(const std::function<void(Chunk)>& work) {
  publish();
  const std::int64_t part_count = operand_.count() / parts_;
  const auto bounce_bytes = static_cast<std::int64_t>(memory_.bounce(identity_.rank).size());
  const std::int64_t limit = std::max<std::int64_t>(1, bounce_bytes / bytes_of(operand_.dtype) / parts_);
  chunk_ = {0, std::min(limit, part_count)};
  while (true) {
    if (staging_) for_each_staged(copy_elements);
    channel_.meet(Lane::collectives, name_of(call_.kind));
    if (chunk_.begin == 0) {
      for (int rank = 0; rank < identity_.size(); ++rank) channel_.check_call_of(rank);
      if (!anyone_stages()) chunk_.length = part_count;
    }
    work(chunk_);
    channel_.meet(Lane::collectives, name_of(call_.kind));
    if (staging_ && results_return_)
      for_each_staged([](const TensorView& own, const TensorView& bounce) { copy_elements(bounce, own); });
    const std::int64_t done = chunk_.begin + chunk_.length;
    if (done >= part_count) return;
    chunk_ = {done, std::min(limit, part_count - done)};
  }
}

void WindowExchange::publish() {
  RankBlock& block = channel_.mine();
  const std::optional<Operand> reachable = memory_.publish(operand_);
  staging_ = !reachable.has_value();
  channel_.next_announcement().call = call_;
  block.staged = staging_ ? 1 : 0;
  block.operand = reachable.value_or(Operand{});
}

bool WindowExchange::anyone_stages() const {
  for (int rank = 0; rank < identity_.size(); ++rank)
    if (channel_.block(rank).staged != 0) return true;
  return false;
}

void WindowExchange::for_each_staged(
    const std::function<void(const TensorView& own, const TensorView& bounce)>& copy) const {
  const Piece kept = kept_(chunk_);
  const auto copy_range = [&](int part, Chunk range) {
    if (range.length > 0) copy(own(part, range), staged(memory_.bounce(identity_.rank), part, range));
  };
  for (int part = 0; part < parts_; ++part) {
    const Chunk hole = part == kept.part ? kept.range : Chunk{chunk_.begin, 0};
    copy_range(part, {chunk_.begin, hole.begin - chunk_.begin});
    copy_range(part, {hole.end(), chunk_.end() - hole.end()});
  }
}

TensorView WindowExchange::at(int rank, int part, Chunk range) const {
  if (rank == identity_.rank) return own(part, range);
  const RankBlock& block = channel_.block(rank);
  if (block.staged != 0) return staged(memory_.bounce(rank), part, range);
  TensorView view = own(part, range);
  view.data = memory_.resolve(rank, block.operand) + (view.data - operand_.data);
  return view;
}

TensorView WindowExchange::own(int part, Chunk range) const {
  return operand_.range(part * (operand_.count() / parts_) + range.begin, range.length);
}

TensorView WindowExchange::staged(std::span<std::byte> memory, int part, Chunk range) const {
  const std::int64_t first = part * chunk_.length + (range.begin - chunk_.begin);
  const TensorView chunk(memory.data(), operand_.dtype, {parts_ * chunk_.length});
  FERULA_CHECK(chunk.bytes() <= static_cast<std::int64_t>(memory.size()), "a chunk of {} bytes", chunk.bytes());
  return chunk.range(first, range.length);
}

}  // namespace ferula
