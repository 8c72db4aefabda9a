#include "device/ledger.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace ferula {
namespace {
std::size_t index_of(MemoryKind kind) { return static_cast<std::size_t>(kind); }
}  // namespace

std::string_view name_of(MemoryKind kind) {
  constexpr std::array<std::string_view, kMemoryKinds> kNames{"parameters", "gradients", "optimizer", "activations",
                                                              "buffers"};
  return kNames.at(index_of(kind));
}

void MemoryLedger::add(MemoryKind kind, std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  std::int64_t& current = current_.at(index_of(kind));
  current += bytes;
  kind_peak_.at(index_of(kind)) = std::max(kind_peak_.at(index_of(kind)), current);
  total_ += bytes;
  peak_ = std::max(peak_, total_);
  ++allocations_;
}

void MemoryLedger::remove(MemoryKind kind, std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  current_.at(index_of(kind)) -= bytes;
  total_ -= bytes;
}

std::int64_t MemoryLedger::current_bytes(MemoryKind kind) const {
  const std::lock_guard lock(mutex_);
  return current_.at(index_of(kind));
}

std::int64_t MemoryLedger::current_bytes() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

std::int64_t MemoryLedger::peak_bytes() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

std::int64_t MemoryLedger::peak_bytes(MemoryKind kind) const {
  const std::lock_guard lock(mutex_);
  return kind_peak_.at(index_of(kind));
}

void MemoryLedger::reset_peak() {
  const std::lock_guard lock(mutex_);
  peak_ = total_;
  kind_peak_ = current_;
}

std::int64_t MemoryLedger::allocations() const {
  const std::lock_guard lock(mutex_);
  return allocations_;
}

}  // namespace ferula
