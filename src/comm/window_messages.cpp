// Messages between two ranks through peer memory: grouped ones progress together, those of one pair in their order.
#include <algorithm>

#include "comm/element_copies.hpp"
#include "comm/window_communicator.hpp"

namespace ferula {
namespace {

TensorView bytes_view(std::byte* data, std::int64_t bytes) { return {data, DType::u8, {bytes}}; }

/// A message on its way.
struct Transit {
  Message message;
  std::int64_t done_bytes = 0;
  bool posted = false;
  bool finished() const { return done_bytes == message.data.bytes(); }
  bool same_route(const Transit& other) const {
    return message.direction == other.message.direction && message.peer == other.message.peer;
  }
};

class Postman {
 public:
  Postman(int rank, GroupChannel& channel, PeerMemory& memory) : rank_(rank), channel_(channel), memory_(memory) {}

  /// True if something moved.
  bool advance(Transit& transit) {
    return transit.message.direction == Message::Direction::send ? advance_send(transit) : advance_receive(transit);
  }

 private:
  bool advance_send(Transit& transit) {
    MailSlot& slot = memory_.mail(rank_, transit.message.peer);
    if (transit.posted) {
      if (slot.taken.load() != slot.sent.load()) return false;
      transit.posted = false;
      transit.done_bytes += slot.chunk_bytes;
    } else {
      post(transit, slot);
      slot.sent.fetch_add(1);
      channel_.block(transit.message.peer).doorbell.ring();
    }
    return true;
  }

  void post(Transit& transit, MailSlot& slot) {
    const TensorView& data = transit.message.data;
    slot.dtype = data.dtype;
    slot.total_bytes = data.bytes();
    transit.posted = true;
    if (const std::optional<Operand> reachable = memory_.publish(data)) {
      slot.operand = *reachable;
      slot.chunk_bytes = data.bytes();
      slot.staged = 0;
      return;
    }
    const std::span<std::byte> bounce = memory_.mail_bounce(rank_, transit.message.peer);
    slot.chunk_bytes =
        std::min<std::int64_t>(static_cast<std::int64_t>(bounce.size()), data.bytes() - transit.done_bytes);
    slot.staged = 1;
    copy_elements(bytes_view(data.data + transit.done_bytes, slot.chunk_bytes),
                  bytes_view(bounce.data(), slot.chunk_bytes));
  }

  bool advance_receive(Transit& transit) {
    const int from = transit.message.peer;
    const TensorView& data = transit.message.data;
    MailSlot& slot = memory_.mail(from, rank_);
    if (slot.sent.load() == slot.taken.load()) return false;
    if (slot.dtype != data.dtype || slot.total_bytes != data.bytes())
      channel_.fail("receive",
                    fmt::format("expected {} bytes of {} from rank {} of the group, which sent {} bytes of {}",
                                data.bytes(), name_of(data.dtype), from, slot.total_bytes, name_of(slot.dtype)));
    std::optional<Visit> visit;
    if (memory_.goes_with_ranks()) visit.emplace(channel_, "receive");
    std::byte* source =
        slot.staged != 0 ? memory_.mail_bounce(from, rank_).data() : memory_.resolve(from, slot.operand);
    copy_elements(bytes_view(source, slot.chunk_bytes), bytes_view(data.data + transit.done_bytes, slot.chunk_bytes));
    transit.done_bytes += slot.chunk_bytes;
    slot.taken.fetch_add(1);
    channel_.block(from).doorbell.ring();
    return true;
  }

  int rank_;
  GroupChannel& channel_;
  PeerMemory& memory_;
};

/// Messages on one route keep their order: only the first unfinished one may move.
bool is_blocked(const std::vector<Transit>& transits, std::size_t index) {
  return std::any_of(
      transits.begin(), transits.begin() + static_cast<std::ptrdiff_t>(index),
      [&](const Transit& earlier) { return !earlier.finished() && earlier.same_route(transits[index]); });
}

std::vector<int> peers_of(const std::vector<Transit>& transits) {
  std::vector<int> peers;
  for (const Transit& transit : transits)
    if (!transit.finished()) peers.push_back(transit.message.peer);
  std::sort(peers.begin(), peers.end());
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  return peers;
}

/// Until all have arrived.
void carry(std::vector<Transit> transits, Postman postman, GroupChannel& channel, std::string_view operation) {
  channel.throw_if_aborted(operation);
  while (true) {
    const std::uint32_t seen = channel.mine().doorbell.value.load();
    bool moved = false;
    for (std::size_t index = 0; index < transits.size(); ++index)
      if (!transits[index].finished() && !is_blocked(transits, index)) moved |= postman.advance(transits[index]);
    const std::vector<int> awaited = peers_of(transits);
    if (awaited.empty()) return;
    if (!moved) channel.await_doorbell(seen, awaited, operation);
  }
}

}  // namespace

void WindowCommunicator::run_messages(const std::vector<Message>& messages) {
  std::vector<Transit> transits;
  for (const Message& message : messages) transits.push_back({message});
  try {
    carry(std::move(transits), Postman(rank(), channel_, *memory_), channel_, operation_of(messages));
  } catch (...) {
    if (memory_->goes_with_ranks()) channel_.await_visitors();
    throw;
  }
}

}  // namespace ferula
