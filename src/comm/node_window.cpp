#include "comm/node_window.hpp"

#include <algorithm>

namespace ferula {

std::uint64_t NodeWindow::next_serial() {
  const std::lock_guard lock(mutex_);
  return ++serial_;
}

std::span<std::byte> NodeWindow::add_own(std::uint64_t serial, SharedSegment segment, std::vector<int> members) {
  const std::lock_guard lock(mutex_);
  const std::span<std::byte> payload = segment.payload();
  own_.emplace(payload.data(), Own{serial, std::move(segment), std::move(members)});
  return payload;
}

void NodeWindow::add_peer(int world_rank, std::uint64_t serial, SharedSegment segment) {
  const std::lock_guard lock(mutex_);
  peers_.emplace(std::pair{world_rank, serial}, std::move(segment));
}

void NodeWindow::release(const std::byte* payload) {
  const std::lock_guard lock(mutex_);
  const auto found = own_.find(payload);
  FERULA_CHECK(found != own_.end(), "not a buffer of this window");
  found->second.segment.retire();
  own_.erase(found);
}

void NodeWindow::forget_retired() {
  const std::lock_guard lock(mutex_);
  std::erase_if(peers_, [](const auto& peer) { return peer.second.is_retired(); });
}

std::optional<Operand> NodeWindow::find(const TensorView& view, const std::vector<int>& members) const {
  const std::lock_guard lock(mutex_);
  auto after = own_.upper_bound(view.data);
  if (after == own_.begin()) return std::nullopt;
  const auto& [start, own] = *--after;
  const std::int64_t offset = view.data - start;
  const bool inside = offset + view.bytes() <= static_cast<std::int64_t>(own.segment.payload().size());
  if (!inside || !std::includes(own.members.begin(), own.members.end(), members.begin(), members.end()))
    return std::nullopt;
  return Operand{.segment = own.serial, .offset = offset};
}

std::byte* NodeWindow::resolve(int world_rank, const Operand& operand) const {
  const std::lock_guard lock(mutex_);
  if (world_rank == world_rank_) {
    for (const auto& [start, own] : own_)
      if (own.serial == operand.segment) return own.segment.payload().data() + operand.offset;
  }
  const auto found = peers_.find({world_rank, operand.segment});
  FERULA_CHECK(found != peers_.end(), "rank {} published segment {}, which rank {} has not mapped", world_rank,
               operand.segment, world_rank_);
  return found->second.payload().data() + operand.offset;
}

}  // namespace ferula
