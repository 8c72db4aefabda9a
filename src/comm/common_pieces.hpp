// The memory that the ranks of one group have in common, as one of them sees it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "device/device.hpp"

namespace ferula {

/// Thread-safe. Outlives the buffers that it gives.
class CommonPieces {
 public:
  /// A buffer of `bytes` at `data`, which `owner` keeps alive; this rank counts its part of `ranks` parts.
  Buffer add(std::shared_ptr<void> owner, std::byte* data, std::int64_t bytes, MemoryKind kind, MemoryLedger& ledger,
             int ranks);
  /// Whether `view` lies in one of them.
  bool contain(const TensorView& view) const;

 private:
  struct Piece {
    std::shared_ptr<void> owner;
    TensorView bytes;
  };
  void remove(const std::byte* data);

  std::atomic<bool> any_{false};  // spares the others the lock
  mutable std::mutex mutex_;
  std::vector<Piece> pieces_;
};

}  // namespace ferula
