#include "params/unit_pool.hpp"

#include <algorithm>
#include <functional>

namespace ferula {

namespace {

constexpr std::ptrdiff_t kSlots = 2;

}  // namespace

std::vector<std::int64_t> slot_sizes(std::span<const std::int64_t> bytes_by_unit) {
  std::vector<std::int64_t> sizes(bytes_by_unit.begin(), bytes_by_unit.end());
  std::erase(sizes, 0);
  std::sort(sizes.begin(), sizes.end(), std::greater<>());
  if (std::ssize(sizes) > kSlots) sizes.erase(sizes.begin() + kSlots, sizes.end());
  return sizes;
}

std::optional<std::size_t> UnitPool::holding(std::size_t unit) const {
  for (std::size_t slot = 0; slot < slots_.size(); ++slot)
    if (slots_[slot].unit == unit) return slot;
  return std::nullopt;
}

std::optional<std::size_t> UnitPool::free_slot(std::int64_t bytes) const {
  std::optional<std::size_t> best;
  const auto better = [this](std::size_t one, std::size_t other) {
    const bool one_is_empty = slots_[one].unit == kNoUnit;
    const bool other_is_empty = slots_[other].unit == kNoUnit;
    if (slots_[one].memory.count() != slots_[other].memory.count())
      return slots_[one].memory.count() < slots_[other].memory.count();
    return one_is_empty && !other_is_empty;
  };
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].leased || slots_[slot].memory.count() < bytes) continue;
    if (!best || better(slot, *best)) best = slot;
  }
  return best;
}

void UnitPool::forget() {
  for (UnitSlot& slot : slots_)
    if (!slot.leased) slot.unit = kNoUnit;
}

}  // namespace ferula
