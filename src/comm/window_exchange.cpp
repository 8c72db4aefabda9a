#include "comm/window_exchange.hpp"

#include <algorithm>

#include "base/ticks.hpp"
#include "comm/element_copies.hpp"

namespace ferula {
namespace {

// From cores that share no cache, lines that one has just written come five times as slowly (2 instead of 11 GB/s of
// an all-gather on Zen 4): what passes through memory instead comes at 11, but at 7 to cores that share one. A meeting
// takes 80 to 130 ns a peer there, 250 to 350 here. Asked anew each time, since processors of virtual machines move.
constexpr double kFar_s = 190e-9;
constexpr std::int64_t kManyChunks = 8;  // of so many it is worth asking

}  // namespace

WindowExchange::WindowExchange(const GroupIdentity& identity, GroupChannel& channel, PeerMemory& memory,
                               const CollectiveCall& call, TensorView operand, int parts)
    : identity_(identity), channel_(channel), memory_(memory), call_(call), operand_(operand), parts_(parts) {}

void WindowExchange::for_each_chunk(const std::function<void(Chunk)>& work) {
  publish();
  const auto half_bytes = static_cast<std::int64_t>(memory_.bounce(identity_.rank).size()) / 2;
  most_ = std::max<std::int64_t>(1, half_bytes / bytes_of(operand_.dtype) / parts_);
  auto copy_to_bounce = copy_elements;
  const auto stage = [&](Chunk chunk) {
    if (staging_ && chunk.length > 0) for_each_staged(chunk, copy_to_bounce);
  };
  stage(chunk_at(0));
  channel_.meet(Lane::collectives, name_of(call_.kind));
  for (int rank = 0; rank < identity_.size(); ++rank) channel_.check_call_of(rank);
  if (!anyone_stages())
    most_ = std::max<std::int64_t>(1, operand_.count() / parts_);
  else if (operand_.count() / parts_ >= kManyChunks * most_ && are_ranks_far())
    copy_to_bounce = stream_elements;
  Chunk next = chunk_at(0);
  do {
    chunk_ = next;
    next = chunk_at(chunk_.end());
    work(chunk_);  // of which this rank has staged its own part last: it lies in a cache
    stage(next);
    channel_.meet(Lane::collectives, name_of(call_.kind));
    if (staging_ && results_return_)
      for_each_staged(chunk_, [](const TensorView& own, const TensorView& bounce) { copy_elements(bounce, own); });
  } while (next.length > 0);
}

bool WindowExchange::are_ranks_far() {
  constexpr int kMeetings = 16;
  const std::int64_t begin = ticks_now();
  for (int meeting = 0; meeting < kMeetings; ++meeting) channel_.meet(Lane::collectives, name_of(call_.kind));
  const double each = seconds_of_ticks(ticks_now() - begin) / kMeetings;
  return each > kFar_s * (identity_.size() - 1);
}

WindowExchange::Chunk WindowExchange::chunk_at(std::int64_t begin) const {
  return {begin, std::min(most_, operand_.count() / parts_ - begin)};
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
    Chunk chunk, const std::function<void(const TensorView& own, const TensorView& bounce)>& copy) const {
  const Piece kept = kept_(chunk);
  const auto copy_range = [&](int part, Chunk range) {
    if (range.length > 0) copy(own(part, range), staged(memory_.bounce(identity_.rank), chunk, part, range));
  };
  for (int part = 0; part < parts_; ++part) {
    const Chunk hole = part == kept.part ? kept.range : Chunk{chunk.begin, 0};
    copy_range(part, {chunk.begin, hole.begin - chunk.begin});
    copy_range(part, {hole.end(), chunk.end() - hole.end()});
  }
}

TensorView WindowExchange::at(int rank, int part, Chunk range) const {
  if (rank == identity_.rank) return own(part, range);
  const RankBlock& block = channel_.block(rank);
  if (block.staged != 0) return staged(memory_.bounce(rank), chunk_, part, range);
  TensorView view = own(part, range);
  view.data = memory_.resolve(rank, block.operand) + (view.data - operand_.data);
  return view;
}

TensorView WindowExchange::own(int part, Chunk range) const {
  return operand_.range(part * (operand_.count() / parts_) + range.begin, range.length);
}

TensorView WindowExchange::staged(std::span<std::byte> memory, Chunk chunk, int part, Chunk range) const {
  const std::int64_t half = parts_ * most_;
  const TensorView halves(memory.data(), operand_.dtype, {2 * half});
  FERULA_CHECK(halves.bytes() <= static_cast<std::int64_t>(memory.size()), "two chunks of {} bytes", halves.bytes());
  return halves.range(chunk.begin / most_ % 2 * half + part * chunk.length + (range.begin - chunk.begin), range.length);
}

}  // namespace ferula
