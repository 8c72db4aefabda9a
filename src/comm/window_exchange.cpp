#include "comm/window_exchange.hpp"

#include <algorithm>

#include "base/ticks.hpp"
#include "comm/element_copies.hpp"

namespace ferula {
namespace {

// From cores that share no cache, lines that one has just written come five times as slowly (2 instead of 11 GB/s of
// an all-gather on Zen 4): what passes through memory instead comes at 11, but at 7 to cores that share one. A meeting
// takes 80 to 130 ns a peer there, 250 to 350 here; where it takes far more, the ranks share cores. Asked anew each
// time, since processors of virtual machines move.
constexpr double kFar_s = 170e-9, kSharesCores_s = 5e-6;
constexpr std::int64_t kManyChunks = 8;  // of so many it is worth asking
std::span<std::byte> half_of(std::span<std::byte> memory, std::size_t half) {
  const std::size_t bytes = memory.size() / (2 * kLineBytes) * kLineBytes;
  return memory.subspan(half * bytes, bytes);
}

}  // namespace

WindowExchange::WindowExchange(const GroupIdentity& identity, GroupChannel& channel, PeerMemory& memory,
                               const CollectiveCall& call, TensorView operand, int parts)
    : identity_(identity), channel_(channel), memory_(memory), call_(call), operand_(operand), parts_(parts) {}

void WindowExchange::for_each_chunk(const std::function<void(Chunk)>& work) {
  publish();
  const auto half_bytes = static_cast<std::int64_t>(half_of(memory_.bounce(identity_.rank), 0).size());
  most_ = std::max<std::int64_t>(1, half_bytes / bytes_of(operand_.dtype) / parts_);
  auto copy_to_bounce = copy_elements;
  const auto stage = [&](Chunk chunk) {  // for the next meeting
    if (staging_ && chunk.length > 0) for_each_staged(chunk, 1 - channel_.parity(), copy_to_bounce);
  };
  stage(chunk_at(0));
  channel_.meet(Lane::collectives, name_of(call_.kind));
  for (int rank = 0; rank < identity_.size(); ++rank) channel_.check_call_of(rank);
  announced_ = channel_.parity();
  const int staging = count_staging();
  all_staging_ = staging == identity_.size();
  if (staging == 0)
    most_ = std::max<std::int64_t>(1, operand_.count() / parts_);
  else if (operand_.count() / parts_ >= kManyChunks * most_ && are_ranks_far())
    copy_to_bounce = stream_elements;
  for (Chunk next = chunk_at(0);;) {
    chunk_ = next;
    half_ = channel_.parity();
    next = chunk_at(chunk_.end());
    work(chunk_);  // of which this rank has staged its own part last: it lies in a cache
    stage(next);
    const bool is_last = next.length == 0;
    if (is_last && all_staging_ && !results_return_) return;  // of this half nobody reads after the next meeting
    channel_.meet(Lane::collectives, name_of(call_.kind));
    if (staging_ && results_return_)
      for_each_staged(chunk_, half_,
                      [](const TensorView& own, const TensorView& bounce) { copy_elements(bounce, own); });
    if (is_last) return;
  }
}

bool WindowExchange::are_ranks_far() {
  // Meetings follow each other at the pace of the slowest word, but a single one may find all others there. The fastest
  // few count; an even number, so that what was written for the meeting before stays where it is looked for.
  constexpr int kTrials = 3, kMeetings = 8;
  double fastest = kSharesCores_s;
  for (int trial = 0; trial < kTrials; ++trial) {
    const std::int64_t begin = ticks_now();
    for (int meeting = 0; meeting < kMeetings; ++meeting) channel_.meet(Lane::collectives, name_of(call_.kind));
    fastest = std::min(fastest, seconds_of_ticks(ticks_now() - begin) / kMeetings / (identity_.size() - 1));
  }
  return fastest > kFar_s && fastest < kSharesCores_s;
}

WindowExchange::Chunk WindowExchange::chunk_at(std::int64_t begin) const {
  return {begin, std::min(most_, operand_.count() / parts_ - begin)};
}

void WindowExchange::publish() {
  const std::optional<Operand> reachable = memory_.publish(operand_);
  staging_ = !reachable.has_value();
  Announcement& mine = channel_.next_announcement();
  mine.call = call_;
  mine.staged = staging_ ? 1 : 0;
  mine.operand = reachable.value_or(Operand{});
}

int WindowExchange::count_staging() const {
  int staging = 0;
  for (int rank = 0; rank < identity_.size(); ++rank) staging += static_cast<int>(channel_.announcement(rank).staged);
  return staging;
}

void WindowExchange::for_each_staged(
    Chunk chunk, std::size_t half,
    const std::function<void(const TensorView& own, const TensorView& bounce)>& copy) const {
  const Piece kept = kept_(chunk);
  const auto copy_range = [&](int part, Chunk range) {
    if (range.length > 0) copy(own(part, range), staged(memory_.bounce(identity_.rank), half, chunk, part, range));
  };
  for (int part = 0; part < parts_; ++part) {
    const Chunk hole = part == kept.part ? kept.range : Chunk{chunk.begin, 0};
    copy_range(part, {chunk.begin, hole.begin - chunk.begin});
    copy_range(part, {hole.end(), chunk.end() - hole.end()});
  }
}

TensorView WindowExchange::at(int rank, int part, Chunk range) const {
  if (rank == identity_.rank) return own(part, range);
  const Announcement& said = channel_.block(rank).announcements[announced_];
  if (all_staging_ || said.staged != 0)  // who stages as all do may already be saying what it does next
    return staged(memory_.bounce(rank), half_, chunk_, part, range);
  TensorView view = own(part, range);
  view.data = memory_.resolve(rank, said.operand) + (view.data - operand_.data);
  return view;
}

TensorView WindowExchange::own(int part, Chunk range) const {
  return operand_.range(part * (operand_.count() / parts_) + range.begin, range.length);
}

TensorView WindowExchange::staged(std::span<std::byte> memory, std::size_t half, Chunk chunk, int part,
                                  Chunk range) const {
  memory = half_of(memory, half);
  const TensorView all(memory.data(), operand_.dtype, {parts_ * chunk.length});
  FERULA_CHECK(all.bytes() <= static_cast<std::int64_t>(memory.size()), "a chunk of {} bytes", all.bytes());
  return all.range(part * chunk.length + (range.begin - chunk.begin), range.length);
}

}  // namespace ferula
