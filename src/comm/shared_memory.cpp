#include "comm/shared_memory.hpp"

#include <algorithm>

#include "base/narrow.hpp"
#include "comm/window_communicator.hpp"

namespace ferula {
namespace {

/// Where things lie in the segment by which a rank takes part in a group.
struct GroupLayout {
  GroupLayout(int ranks, const SharedMemoryOptions& options)
      : mail_bytes(round_up(std::max<std::int64_t>(options.message_chunk_bytes, 1), 64)),
        bounce_bytes(round_up(std::max<std::int64_t>(options.chunk_bytes, 8 * ranks), 64)),
        mail_slots(sizeof(RankBlock)),
        mail_bounce(mail_slots + ranks * static_cast<std::int64_t>(sizeof(MailSlot))),
        bounce(mail_bounce + ranks * mail_bytes),
        total(bounce + bounce_bytes) {}
  std::int64_t mail_bytes, bounce_bytes;
  std::int64_t transit_bytes() const { return total - mail_bounce; }
  std::int64_t mail_slots, mail_bounce, bounce, total;  // offsets
};

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
  std::span<std::byte> bounce(int rank) override { return memory_of(rank).subspan(at(layout_.bounce)); }
  std::span<std::byte> mail_bounce(int from, int to) override {
    return memory_of(from).subspan(at(layout_.mail_bounce + to * layout_.mail_bytes), at(layout_.mail_bytes));
  }
  Buffer allocate(GroupChannel& channel, std::int64_t bytes, MemoryKind kind) override;

 private:
  static std::size_t at(std::int64_t offset) { return static_cast<std::size_t>(offset); }
  std::span<std::byte> memory_of(int rank) { return segments_[at(rank)].payload(); }
  /// Maps the segment that each peer has announced; false where one cannot be.
  bool map_announced(GroupChannel& channel, std::vector<SharedSegment>& mapped);

  std::vector<int> members_;  // world ranks
  int rank_;
  NodeWindow* window_;
  Device* device_;
  GroupLayout layout_;
  std::vector<SharedSegment> segments_;  // by rank
  Buffer counted_;                       // tells the ledger of the bounce memory
};

bool ProcessMemory::map_announced(GroupChannel& channel, std::vector<SharedSegment>& mapped) {
  try {
    for (int rank = 0; rank < static_cast<int>(members_.size()); ++rank) {
      const SegmentCard& card = channel.block(rank).segment;
      if (card.ok == 0) return false;
      if (rank != rank_) mapped.push_back(SharedSegment::open(card));
    }
    return true;
  } catch (const Error&) {
    return false;  // all ranks must hear of it; the caller reports it together with them
  }
}

Buffer ProcessMemory::allocate(GroupChannel& channel, std::int64_t bytes, MemoryKind kind) {
  constexpr std::string_view kOperation = "allocate";
  if (bytes == 0) return {};
  window_->forget_retired();
  std::optional<SharedSegment> own;
  std::string refusal = "another rank could not take part";
  try {
    own = SharedSegment::create(bytes, SharedSegment::Commit::now);
  } catch (const CapacityError& error) {
    refusal = error.what();
  }
  channel.mine().segment = own ? own->card(window_->next_serial()) : SegmentCard{};
  channel.meet(Lane::setup, kOperation);
  std::vector<SharedSegment> mapped;
  channel.mine().segment_mapped = map_announced(channel, mapped) ? 1 : 0;
  channel.meet(Lane::setup, kOperation);
  bool all_mapped = true;
  std::vector<SegmentCard> cards;
  for (int rank = 0; rank < static_cast<int>(members_.size()); ++rank) {
    all_mapped = all_mapped && channel.block(rank).segment_mapped != 0;
    cards.push_back(channel.block(rank).segment);
  }
  channel.meet(Lane::setup, kOperation);  // only now may a card be written again
  if (!all_mapped)
    throw CapacityError(
        fmt::format("expected all ranks of a group to share {} MiB of {}: {}", bytes >> 20, name_of(kind), refusal));
  own->close_file();
  for (std::size_t rank = 0, next = 0; rank < members_.size(); ++rank)
    if (rank != at(rank_)) window_->add_peer(members_[rank], cards[rank].serial, std::move(mapped[next++]));
  const std::span<std::byte> payload = window_->add_own(cards[at(rank_)].serial, std::move(*own), members_);
  return {payload.data(), bytes, kind, &device_->ledger(),
          [window = window_](std::byte* data, std::int64_t) { window->release(data); }};
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
  return std::make_unique<WindowCommunicator>("shared-memory", std::move(identity), std::move(memory));
}

}  // namespace ferula
