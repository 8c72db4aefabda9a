#include "comm/window_exchange.hpp"

#include <algorithm>

#include "base/narrow.hpp"
#include "comm/element_copies.hpp"

namespace ferula {
namespace {

// To cores that share no cache, lines of which they have a copy are written at a fourth to a fifth of the rate that
// passing through memory reaches (Zen 4, 16 KiB to 512 KiB at a time); to those that share one, that is slower. Few
// lines do not keep the processor waiting.
constexpr std::int64_t kFewLines_bytes = 8 << 10;

std::int64_t bytes_of_half(std::span<std::byte> memory) { return std::ssize(memory) / (2 * kLineBytes) * kLineBytes; }

}  // namespace

WindowExchange::WindowExchange(const GroupIdentity& identity, GroupChannel& channel, PeerMemory& memory,
                               const CollectiveCall& call, TensorView operand, int parts)
    : identity_(identity), channel_(channel), memory_(memory), call_(call), operand_(operand), parts_(parts) {}

void WindowExchange::for_each_chunk(const std::function<void(Chunk)>& work) {
  if (!memory_.goes_with_ranks()) return exchange_chunks(work);
  try {
    exchange_chunks([&](Chunk chunk) {
      const Visit visit(channel_, name_of(call_.kind));
      work(chunk);
    });
  } catch (...) {
    channel_.await_visitors();
    throw;
  }
}

void WindowExchange::exchange_chunks(const std::function<void(Chunk)>& work) {
  publish();
  most_ = std::max<std::int64_t>(1, bytes_of_half(memory_.bounce(identity_.rank)) / bytes_of(operand_.dtype) / parts_);
  turn_ = channel_.meetings() + 1;
  stage(chunk_at(0), turn_);
  channel_.meet(Lane::collectives, name_of(call_.kind));
  for (int rank = 0; rank < identity_.size(); ++rank) channel_.check_call_of(rank);
  announced_ = channel_.parity();
  const int staging = count_staging();
  all_staging_ = staging == identity_.size();
  if (staging == 0)
    most_ = std::max<std::int64_t>(1, operand_.count() / parts_);
  else
    channel_.look_how_far(name_of(call_.kind), operand_.bytes());
  for (Chunk next = chunk_at(0);; ++turn_) {
    chunk_ = next;
    next = chunk_at(chunk_.end());
    work(chunk_);  // of which this rank has staged its own part last: it lies in a cache
    stage(next, turn_ + 1);
    const bool is_last = next.length == 0;
    if (is_last && all_staging_ && !results_return_) return;  // of this half nobody reads after the next meeting
    channel_.meet(Lane::collectives, name_of(call_.kind));
    if (staging_ && results_return_)
      for_each_staged(chunk_, turn_,
                      [](const TensorView& own, const TensorView& bounce) { copy_elements(bounce, own); });
    if (is_last) return;
  }
}

void WindowExchange::stage(Chunk chunk, std::uint32_t meeting) const {
  if (!staging_ || chunk.length == 0) return;
  const bool past_caches =
      channel_.are_ranks_far() && parts_ * chunk.length * bytes_of(operand_.dtype) >= kFewLines_bytes;
  for_each_staged(chunk, meeting, past_caches ? stream_elements : copy_elements);
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
    Chunk chunk, std::uint32_t meeting,
    const std::function<void(const TensorView& own, const TensorView& bounce)>& copy) const {
  const Piece kept = kept_(chunk);
  const auto copy_range = [&](int part, Chunk range) {
    if (range.length > 0) copy(own(part, range), staged(memory_.bounce(identity_.rank), meeting, chunk, part, range));
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
    return staged(memory_.bounce(rank), turn_, chunk_, part, range);
  TensorView view = own(part, range);
  view.data = memory_.resolve(rank, said.operand) + (view.data - operand_.data);
  return view;
}

TensorView WindowExchange::own(int part, Chunk range) const {
  return operand_.range(part * (operand_.count() / parts_) + range.begin, range.length);
}

TensorView WindowExchange::staged(std::span<std::byte> memory, std::uint32_t meeting, Chunk chunk, int part,
                                  Chunk range) const {
  const std::int64_t half = bytes_of_half(memory);
  const std::int64_t place = round_up(parts_ * chunk_at(0).length * bytes_of(operand_.dtype), kLineBytes);
  FERULA_CHECK(place <= half, "a chunk of {} bytes", place);
  const std::int64_t begin = meeting % 2 * half + meeting / 2 % (half / place) * place;
  const TensorView all(memory.data() + begin, operand_.dtype, {parts_ * chunk.length});
  return all.range(part * chunk.length + (range.begin - chunk.begin), range.length);
}

}  // namespace ferula
