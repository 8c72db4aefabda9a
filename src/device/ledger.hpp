// Counts every byte of tensor memory of one rank, by kind. A rank owns one ledger; simulated ranks own one each.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace ferula {

enum class MemoryKind : std::uint8_t { parameters, gradients, optimizer, activations, buffers };
inline constexpr std::size_t kMemoryKinds = 5;
std::string_view name_of(MemoryKind kind);

/// Thread-safe counters of allocated bytes; `Device::allocate` is the only writer.
class MemoryLedger {
 public:
  /// `remedy`: a sentence for the one whose memory is too small.
  explicit MemoryLedger(std::string remedy = {}) : remedy_(std::move(remedy)) {}

  const std::string& remedy() const { return remedy_; }
  void add(MemoryKind kind, std::int64_t bytes);
  void remove(MemoryKind kind, std::int64_t bytes);

  std::int64_t current_bytes(MemoryKind kind) const;
  std::int64_t current_bytes() const;
  /// Highest sum over all kinds since the start (or `reset_peak`).
  std::int64_t peak_bytes() const;
  std::int64_t peak_bytes(MemoryKind kind) const;
  void reset_peak();
  /// Number of allocations since the start: constant between two steps where nothing allocates.
  std::int64_t allocations() const;

 private:
  const std::string remedy_;
  mutable std::mutex mutex_;
  std::array<std::int64_t, kMemoryKinds> current_{};
  std::array<std::int64_t, kMemoryKinds> kind_peak_{};
  std::int64_t total_ = 0;
  std::int64_t peak_ = 0;
  std::int64_t allocations_ = 0;
};

}  // namespace ferula
