#include "comm/shared_memory.hpp"

#include <algorithm>

#include "base/narrow.hpp"
#include "comm/common_pieces.hpp"
#include "comm/window_communicator.hpp"

namespace ferula {
namespace {

/// Where things lie in the segment by which a rank takes part in a group.
struct GroupLayout {
  GroupLayout(int ranks, const SharedMemoryOptions& options)
      : mail_bytes(round_up(std::max<std::int64_t>(options.message_chunk_bytes, 1), kLineBytes)),
        bounce_bytes(round_up(std::max<std::int64_t>(options.chunk_bytes, 2 * 8 * ranks), 2 * kLineBytes)),
        mail_slots(sizeof(RankBlock)),
        mail_bounce(mail_slots + ranks * static_cast<std::int64_t>(sizeof(MailSlot))),
        bounce(mail_bounce + ranks * mail_bytes),
        total(bounce + bounce_bytes) {}
  std::int64_t mail_bytes, bounce_bytes;
  std::int64_t transit_bytes() const { return total - mail_bounce; }
  std::int64_t mail_slots, mail_bounce, bounce, total;  // offsets
};

constexpr std::string_view kAllocate = "allocate";
constexpr std::string_view kElsewhere = "another rank could not take part";

/// A new segment; nothing, and why in `refusal`, where memory is short.
std::optional<SharedSegment> create_or_say(std::int64_t bytes, std::string& refusal) {
  try {
    return SharedSegment::create(bytes, SharedSegment::Commit::now);
  } catch (const CapacityError& error) {
    refusal = error.what();
    return std::nullopt;
  }
}

/// A peer's segment; nothing where it has none or this process cannot map it, of which all ranks must hear.
std::optional<SharedSegment> open_or_none(const SegmentCard& card) {
  if (card.ok == 0) return std::nullopt;
  try {
    return SharedSegment::open(card);
  } catch (const Error&) {
    return std::nullopt;
  }
}

[[noreturn]] void refuse_allocation(std::int64_t bytes, MemoryKind kind, const std::string& why) {
  throw CapacityError(
      fmt::format("expected all ranks of a group to share {} MiB of {}: {}", bytes >> 20, name_of(kind), why));
}

class ProcessMemory final : public PeerMemory {
 public:
  ProcessMemory(std::vector<int> members, int rank, NodeWindow& window, Device& device, GroupLayout layout,
                std::vector<SharedSegment> segments)
      : members_(std::move(members)),
        rank_(rank),
        window_(&window),
        device_(&device),
        layout_(layout),
        segments_(std::move(segments)),
        counted_(bounce(rank).data(), layout.transit_bytes(), MemoryKind::buffers, &device.ledger(), {}) {}

  RankBlock& block(int rank) override { return *reinterpret_cast<RankBlock*>(memory_of(rank).data()); }
  MailSlot& mail(int from, int to) override {
    return reinterpret_cast<MailSlot*>(memory_of(from).data() + layout_.mail_slots)[to];
  }
  std::optional<Operand> publish(const TensorView& view) override { return window_->find(view, members_); }
  std::byte* resolve(int rank, const Operand& operand) override {
    return window_->resolve(members_[static_cast<std::size_t>(rank)], operand);
  }
  bool goes_with_ranks() const override { return false; }
  std::span<std::byte> bounce(int rank) override { return memory_of(rank).subspan(at(layout_.bounce)); }
  std::span<std::byte> mail_bounce(int from, int to) override {
    return memory_of(from).subspan(at(layout_.mail_bounce + to * layout_.mail_bytes), at(layout_.mail_bytes));
  }
  Buffer allocate(GroupChannel& channel, std::int64_t bytes, MemoryKind kind) override;
  bool has_common() const override { return true; }
  Buffer allocate_common(GroupChannel& channel, std::int64_t bytes, MemoryKind kind) override;
  bool is_common(const TensorView& view) const override { return common_.contain(view); }

 private:
  static std::size_t at(std::int64_t offset) { return static_cast<std::size_t>(offset); }
  std::span<std::byte> memory_of(int rank) { return segments_[at(rank)].payload(); }
  int size() const { return static_cast<int>(members_.size()); }
  /// Maps the segment that each peer has announced; false where one cannot be.
  bool map_announced(GroupChannel& channel, std::vector<SharedSegment>& mapped);
  /// Whether all ranks could map what was announced, as this one says of itself; `cards`: what they announced.
  bool all_have_mapped(GroupChannel& channel, bool mapped, std::vector<SegmentCard>& cards);

  std::vector<int> members_;  // world ranks
  int rank_;
  NodeWindow* window_;
  Device* device_;
  GroupLayout layout_;
  std::vector<SharedSegment> segments_;  // by rank
  CommonPieces<SharedSegment> common_;
  Buffer counted_;  // tells the ledger of the bounce memory
};

bool ProcessMemory::map_announced(GroupChannel& channel, std::vector<SharedSegment>& mapped) {
  bool all = true;
  for (int rank = 0; rank < size(); ++rank) {
    const SegmentCard& card = channel.block(rank).segment;
    all = all && card.ok != 0;
    if (rank == rank_ || !all) continue;
    std::optional<SharedSegment> peer = open_or_none(card);
    all = peer.has_value();
    if (all) mapped.push_back(std::move(*peer));
  }
  return all;
}

bool ProcessMemory::all_have_mapped(GroupChannel& channel, bool mapped, std::vector<SegmentCard>& cards) {
  channel.mine().segment_mapped = mapped ? 1 : 0;
  channel.meet(Lane::setup, kAllocate);
  bool all = true;
  for (int rank = 0; rank < size(); ++rank) {
    all = all && channel.block(rank).segment_mapped != 0;
    cards.push_back(channel.block(rank).segment);
  }
  channel.meet(Lane::setup, kAllocate);  // only now may a card be written again
  return all;
}

Buffer ProcessMemory::allocate(GroupChannel& channel, std::int64_t bytes, MemoryKind kind) {
  if (bytes == 0) return {};
  window_->forget_retired();
  std::string refusal(kElsewhere);
  std::optional<SharedSegment> own = create_or_say(bytes, refusal);
  channel.mine().segment = own ? own->card(window_->next_serial()) : SegmentCard{};
  channel.meet(Lane::setup, kAllocate);
  std::vector<SharedSegment> mapped;
  std::vector<SegmentCard> cards;
  if (!all_have_mapped(channel, map_announced(channel, mapped), cards)) refuse_allocation(bytes, kind, refusal);
  own->close_file();
  for (std::size_t rank = 0, next = 0; rank < members_.size(); ++rank)
    if (rank != at(rank_)) window_->add_peer(members_[rank], cards[rank].serial, std::move(mapped[next++]));
  const std::span<std::byte> payload = window_->add_own(cards[at(rank_)].serial, std::move(*own), members_);
  return {payload.data(), bytes, kind, &device_->ledger(),
          [window = window_](std::byte* data, std::int64_t) { window->release(data); }};
}

Buffer ProcessMemory::allocate_common(GroupChannel& channel, std::int64_t bytes, MemoryKind kind) {
  if (bytes == 0) return {};
  std::string refusal(kElsewhere);
  std::optional<SharedSegment> segment;
  if (rank_ == 0) {
    segment = create_or_say(bytes, refusal);
    channel.mine().segment = segment ? segment->card(0) : SegmentCard{};
  }
  channel.meet(Lane::setup, kAllocate);
  if (rank_ != 0) segment = open_or_none(channel.block(0).segment);
  std::vector<SegmentCard> cards;
  if (!all_have_mapped(channel, segment.has_value(), cards)) refuse_allocation(bytes, kind, refusal);
  segment->close_file();
  std::byte* const data = segment->payload().data();
  return common_.add(std::move(*segment), data, bytes, kind, device_->ledger(), size());
}

/// This rank's segment of the group, with its words constructed.
SharedSegment create_group_segment(const GroupLayout& layout, int ranks) {
  SharedSegment segment = SharedSegment::create(layout.total, SharedSegment::Commit::when_touched);
  std::byte* memory = segment.payload().data();
  std::construct_at(reinterpret_cast<RankBlock*>(memory));
  for (int peer = 0; peer < ranks; ++peer)
    std::construct_at(reinterpret_cast<MailSlot*>(memory + layout.mail_slots) + peer);
  return segment;
}

/// The segments of all ranks in rank order; empty where one cannot be mapped here.
std::vector<SharedSegment> map_group(const std::vector<SegmentCard>& cards, int rank, SharedSegment own) {
  std::vector<SharedSegment> segments;
  try {
    for (int peer = 0; peer < static_cast<int>(cards.size()); ++peer)
      segments.push_back(peer == rank ? std::move(own) : SharedSegment::open(cards[static_cast<std::size_t>(peer)]));
  } catch (const Error&) {
    segments.clear();  // another transport will serve this group
  }
  return segments;
}

}  // namespace

std::int64_t shared_memory_transit_bytes(int ranks, const SharedMemoryOptions& options) {
  return GroupLayout(ranks, options).transit_bytes();
}

std::unique_ptr<Communicator> make_shared_memory_communicator(GroupIdentity identity, NodeWindow& window,
                                                              Device& device, const SharedMemoryOptions& options,
                                                              const ExchangeCards& exchange) {
  const GroupLayout layout(identity.size(), options);
  std::optional<SharedSegment> own;
  SegmentCard card;
  try {
    own = create_group_segment(layout, identity.size());
    card = own->card(0);
  } catch (const CapacityError&) {
    card.ok = 0;  // every rank hears of it below
  }
  const std::vector<SegmentCard> cards = exchange(card);
  const bool offered = std::all_of(cards.begin(), cards.end(), [](const SegmentCard& each) { return each.ok != 0; });
  std::vector<SharedSegment> segments;
  if (offered) segments = map_group(cards, identity.rank, std::move(*own));
  card.ok = segments.empty() ? 0 : 1;
  const std::vector<SegmentCard> results = exchange(card);
  if (std::any_of(results.begin(), results.end(), [](const SegmentCard& each) { return each.ok == 0; })) return nullptr;

  std::vector<int> members;
  for (std::size_t rank = 0; rank < cards.size(); ++rank) {
    if (static_cast<int>(rank) != identity.rank) identity.members[rank].process = cards[rank].process;
    members.push_back(identity.members[rank].world_rank);
  }
  segments[static_cast<std::size_t>(identity.rank)].close_file();
  auto memory =
      std::make_unique<ProcessMemory>(std::move(members), identity.rank, window, device, layout, std::move(segments));
  return std::make_unique<WindowCommunicator>("shared-memory", std::move(identity), std::move(memory),
                                              options.meeting_times);
}

}  // namespace ferula
