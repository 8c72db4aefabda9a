// The words of memory by which the ranks of a group on one node find each other: plain structs that live in memory
// shared by processes, or on the heap for ranks that are threads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "comm/group_identity.hpp"
#include "comm/shared_segment.hpp"

namespace ferula {

inline constexpr std::int64_t kLineBytes = 64;  // of the caches

/// A counter that others sleep on.
struct Bell {
  std::atomic<std::uint32_t> value{0};
  std::atomic<std::uint32_t> sleepers{0};
  /// Adds one and wakes the sleepers. What was written before is seen by those who see the new value.
  void ring();
  /// Sleeps until the value is no longer `seen`, for at most 20 ms.
  void sleep_while(std::uint32_t seen);
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "processes share these words");

/// Where peers find an operand: an offset within one of its owner's segments.
struct Operand {
  std::uint64_t segment = 0;
  std::int64_t offset = 0;
};

/// The two independent sequences of meetings: collectives run on a stream, allocation on the caller's thread.
enum class Lane : std::uint8_t { collectives, setup };

/// Operands of at most so many bytes travel with the announcement of their collective.
constexpr std::int64_t kEagerBytes = 1024;

/// What one rank says of a collective before it meets the others.
struct alignas(64) Announcement {
  std::atomic<std::uint32_t> meeting{0};  // for which all of it is there, where the operand travels along
  CollectiveCall call;
  std::array<std::byte, kEagerBytes> data;  // the operand, where it is that small; the smallest lie in the call's line
  Operand operand;                          // where a larger one lies …
  std::uint32_t staged = 0;                 // 1: no peer reaches it, it passes through the bounce memory in chunks
};

/// What one rank tells the others of its group. Written by its owner only.
struct alignas(64) RankBlock {
  std::array<Bell, 2> arrivals;  // by Lane
  Bell doorbell;                 // rung by peers when a message moved
  /// By parity of the meeting: who is at the next one no longer reads what belonged to the last but one.
  std::array<Announcement, 2> announcements;
  std::atomic<std::uint32_t> visits{0};  // how often this rank is at work on its peers' memory
  std::atomic<std::uint32_t> abort_state{0};
  std::array<char, 512> abort_reason{};
  SegmentCard segment;               // a buffer that is being allocated
  std::uint32_t segment_mapped = 0;  // 1: this rank has mapped those of all peers
};

/// Messages from one rank to another: the sender raises `sent`, the receiver follows with `taken`.
struct alignas(64) MailSlot {
  std::atomic<std::uint32_t> sent{0};
  std::atomic<std::uint32_t> taken{0};
  DType dtype = DType::f32;
  std::int64_t total_bytes = 0;  // of the message
  std::int64_t chunk_bytes = 0;  // of what lies ready now
  std::uint32_t staged = 0;      // 1: it lies in the bounce memory
  Operand operand;
};

/// Marks the group of `block` as aborted; the first reason stays.
void raise_abort(RankBlock& block, std::string_view reason);
/// True once `abort_reason` can be read.
bool is_aborted(const RankBlock& block);

}  // namespace ferula
