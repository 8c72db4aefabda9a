// The memory that the ranks of one group have in common, as one of them sees it.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include "base/narrow.hpp"
#include "device/device.hpp"

namespace ferula {

/// Thread-safe. Outlives the buffers that it gives. `Owner` keeps a piece mapped.
template <class Owner>
class CommonPieces {
 public:
  /// A buffer of `bytes` at `data`, which `owner` keeps alive; this rank counts its part of `ranks` parts.
  Buffer add(Owner owner, std::byte* data, std::int64_t bytes, MemoryKind kind, MemoryLedger& ledger, int ranks) {
    {
      const std::lock_guard lock(mutex_);
      pieces_.push_back({std::move(owner), TensorView(data, DType::u8, {bytes})});
      find_bounds();
    }
    const std::int64_t part = ceil_div(bytes, ranks);
    ledger.add(kind, part);
    return {data, bytes, kind, nullptr, [this, &ledger, kind, part](std::byte* released, std::int64_t) {
              remove(released);
              ledger.remove(kind, part);
            }};
  }

  /// Whether `view` lies in one of them.
  bool contain(const TensorView& view) const {
    if (view.data < begin_ || view.data >= end_) return false;
    const std::lock_guard lock(mutex_);
    return std::any_of(pieces_.begin(), pieces_.end(), [&view](const Piece& piece) {
      return view.data >= piece.bytes.data && view.data + view.bytes() <= piece.bytes.data + piece.bytes.bytes();
    });
  }

 private:
  struct Piece {
    Owner owner;
    TensorView bytes;
  };

  void remove(const std::byte* data) {
    const std::lock_guard lock(mutex_);
    std::erase_if(pieces_, [data](const Piece& piece) { return piece.bytes.data == data; });
    find_bounds();
  }

  void find_bounds() {
    const std::byte *begin = nullptr, *end = nullptr;
    for (const Piece& piece : pieces_) {
      if (begin == nullptr || piece.bytes.data < begin) begin = piece.bytes.data;
      end = std::max<const std::byte*>(end, piece.bytes.data + piece.bytes.bytes());
    }
    begin_ = begin;
    end_ = end;
  }

  std::atomic<const std::byte*> begin_{nullptr}, end_{nullptr};  // of all pieces: most views spare themselves the lock
  mutable std::mutex mutex_;
  std::vector<Piece> pieces_;
};

}  // namespace ferula
