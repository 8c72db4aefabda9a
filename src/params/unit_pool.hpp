// A few slots of memory that whole units pass through: gathered values, or gradient contributions.
#pragma once

#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "device/device.hpp"

namespace ferula {

inline constexpr std::size_t kNoSlot = std::numeric_limits<std::size_t>::max();
inline constexpr std::size_t kNoUnit = std::numeric_limits<std::size_t>::max();

/// One slot. It is free for another unit when nobody leases it.
struct UnitSlot {
  TensorView memory;           // [bytes] u8
  std::size_t unit = kNoUnit;  // whose tensors it holds (or is being filled with)
  bool leased = false;
  Event ready{};                    // filled
  Event idle{};                     // last use done
  std::vector<TensorView> tensors;  // of `unit`, in the order of its params; empty views where held elsewhere
};

/// The sizes of a pool's slots: those of the two largest units, without empty ones.
std::vector<std::int64_t> slot_sizes(std::span<const std::int64_t> bytes_by_unit);

/// Two slots, as large as the two largest units: one in use, the next on its way.
class UnitPool {
 public:
  UnitPool() = default;
  /// `bytes_by_unit`: what each unit needs; `provide` gives the memory, once for each slot.
  template <class Provide>
  UnitPool(std::span<const std::int64_t> bytes_by_unit, Provide&& provide) {
    for (const std::int64_t bytes : slot_sizes(bytes_by_unit)) {
      buffers_.push_back(provide(bytes));
      slots_.push_back({.memory = buffers_.back().flat(DType::u8), .tensors = {}});
    }
  }

  UnitSlot& at(std::size_t slot) { return slots_.at(slot); }
  /// The slot that holds `unit`, leased or not.
  std::optional<std::size_t> holding(std::size_t unit) const;
  /// The smallest slot of at least `bytes` that nobody leases; an empty one before one with unused contents.
  std::optional<std::size_t> free_slot(std::int64_t bytes) const;
  /// Forgets contents that nobody leases: they are out of date.
  void forget();

 private:
  std::vector<Buffer> buffers_;
  std::vector<UnitSlot> slots_;
};

}  // namespace ferula
