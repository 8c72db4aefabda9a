// One collective through peer memory: publishes the operands, checks that all ranks mean the same, walks over chunks.
// What no peer can reach passes through two halves of bounce memory, which take turns at each meeting: while the ranks
// work on one chunk, the next one is on its way, and they meet once a chunk. Within a half, places for chunks take
// turns as well: to write what lies in a peer's cache, because it has read it lately, is far slower than to read it.
#pragma once

#include <functional>

#include "comm/peer_memory.hpp"

namespace ferula {

/// Every rank's operand has `parts` parts of equal length; a chunk is the same range [begin, begin + length) of each
/// part.
class WindowExchange {
 public:
  struct Chunk {
    std::int64_t begin = 0;
    std::int64_t length = 0;
    std::int64_t end() const { return begin + length; }
  };
  /// A range of one part.
  struct Piece {
    int part = 0;
    Chunk range;
  };

  WindowExchange(const GroupIdentity& identity, GroupChannel& channel, PeerMemory& memory, const CollectiveCall& call,
                 TensorView operand, int parts);

  /// `kept` names what of a chunk of this rank's operand no peer touches: it never passes through bounce memory.
  void keep(std::function<Piece(Chunk)> kept) { kept_ = std::move(kept); }
  /// Calls `work` for each chunk while all operands are open to all ranks. When it returns or throws, no peer is at
  /// work on this rank's any more.
  void for_each_chunk(const std::function<void(Chunk)>& work);
  /// The memory of this rank's operand is filled from its bounce memory after each chunk.
  void bring_results_back() { results_return_ = true; }

  /// The range of `part` of the operand of `rank`, during `work`. Of its own operand a rank reads and writes only what
  /// it keeps.
  TensorView at(int rank, int part, Chunk range) const;

 private:
  void publish();
  void exchange_chunks(const std::function<void(Chunk)>& work);
  /// How many ranks' operands no peer reaches.
  int count_staging() const;
  /// The chunk that begins there; empty behind the last one.
  Chunk chunk_at(std::int64_t begin) const;
  /// Copies to bounce memory what is not kept of the chunk whose turn it is at `meeting`.
  void stage(Chunk chunk, std::uint32_t meeting) const;
  /// Calls `copy` with the place in the operand and in bounce memory of all that is not kept of the chunk whose turn it
  /// is at `meeting`.
  void for_each_staged(Chunk chunk, std::uint32_t meeting,
                       const std::function<void(const TensorView& own, const TensorView& bounce)>& copy) const;
  /// `range` of a part of `chunk` in the bounce memory of a rank, at the place whose turn it is at `meeting`.
  TensorView staged(std::span<std::byte> memory, std::uint32_t meeting, Chunk chunk, int part, Chunk range) const;
  TensorView own(int part, Chunk range) const;

  const GroupIdentity& identity_;
  GroupChannel& channel_;
  PeerMemory& memory_;
  CollectiveCall call_;
  TensorView operand_;
  int parts_;
  bool staging_ = false;       // this rank's operand
  bool all_staging_ = false;   // every rank's
  std::size_t announced_ = 0;  // parity of the meeting for which the ranks announced this call
  bool results_return_ = false;
  std::function<Piece(Chunk)> kept_ = [](Chunk chunk) { return Piece{0, {chunk.begin, 0}}; };
  std::int64_t most_ = 1;   // elements of a part in a chunk
  Chunk chunk_;             // of `work` …
  std::uint32_t turn_ = 0;  // … and the meeting that names its place
};

}  // namespace ferula
