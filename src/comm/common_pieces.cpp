#include "comm/common_pieces.hpp"

#include <algorithm>

#include "base/narrow.hpp"

namespace ferula {

Buffer CommonPieces::add(std::shared_ptr<void> owner, std::byte* data, std::int64_t bytes, MemoryKind kind,
                         MemoryLedger& ledger, int ranks) {
  {
    const std::lock_guard lock(mutex_);
    pieces_.push_back({std::move(owner), TensorView(data, DType::u8, {bytes})});
    any_ = true;
  }
  const std::int64_t part = ceil_div(bytes, ranks);
  ledger.add(kind, part);
  return {data, bytes, kind, nullptr, [this, &ledger, kind, part](std::byte* released, std::int64_t) {
            remove(released);
            ledger.remove(kind, part);
          }};
}

void CommonPieces::remove(const std::byte* data) {
  const std::lock_guard lock(mutex_);
  std::erase_if(pieces_, [data](const Piece& piece) { return piece.bytes.data == data; });
  any_ = !pieces_.empty();
}

bool CommonPieces::contain(const TensorView& view) const {
  if (!any_) return false;
  const std::lock_guard lock(mutex_);
  return std::any_of(pieces_.begin(), pieces_.end(), [&view](const Piece& piece) {
    return view.data >= piece.bytes.data && view.data + view.bytes() <= piece.bytes.data + piece.bytes.bytes();
  });
}

}  // namespace ferula
