// How the ranks of a group on one node reach each other's operands.
#pragma once

#include <optional>
#include <span>

#include "comm/group_channel.hpp"

namespace ferula {

/// Threads reach every operand; processes only those in exported buffers, others go through bounce memory.
class PeerMemory {
 public:
  virtual ~PeerMemory() = default;
  virtual RankBlock& block(int rank) = 0;
  virtual MailSlot& mail(int from, int to) = 0;
  /// Where the peers find `view`; nothing where they cannot.
  virtual std::optional<Operand> publish(const TensorView& view) = 0;
  /// The memory behind what `rank` has published, as this rank sees it.
  virtual std::byte* resolve(int rank, const Operand& operand) = 0;
  /// Whether that memory goes with its rank: work on it is then a Visit. What is mapped here stays.
  virtual bool goes_with_ranks() const = 0;
  /// Memory of `rank` that all can reach, for two chunks of a collective. Empty where nothing is ever staged.
  virtual std::span<std::byte> bounce(int rank) = 0;
  /// The same for one chunk of a message.
  virtual std::span<std::byte> mail_bounce(int from, int to) = 0;
  virtual Buffer allocate(GroupChannel& channel, std::int64_t bytes, MemoryKind kind) = 0;
  /// As the communicator promises them.
  virtual bool has_common() const = 0;
  virtual Buffer allocate_common(GroupChannel& channel, std::int64_t bytes, MemoryKind kind) = 0;
  /// Whether `view` lies in memory that the ranks of this group have in common.
  virtual bool is_common(const TensorView& view) const = 0;
};

}  // namespace ferula
