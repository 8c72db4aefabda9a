// The buffers that a rank has opened to other ranks of its node, and those of theirs that it can reach.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "comm/rank_block.hpp"
#include "comm/shared_segment.hpp"
#include "device/tensor_view.hpp"

namespace ferula {

/// One a rank, shared by its communicators and outliving them: what was allocated for one group is reached by every
/// group whose ranks that group covers. Thread-safe.
class NodeWindow {
 public:
  explicit NodeWindow(int world_rank) : world_rank_(world_rank) {}

  std::uint64_t next_serial();
  /// `members`: the ranks of the world, ascending, that have mapped it. Returns the payload.
  std::span<std::byte> add_own(std::uint64_t serial, SharedSegment segment, std::vector<int> members);
  void add_peer(int world_rank, std::uint64_t serial, SharedSegment segment);
  /// Ends the own buffer that starts at `payload`; peers drop their mapping of it at their next `forget_retired`.
  void release(const std::byte* payload);
  /// Unmaps buffers of peers that these have released.
  void forget_retired();

  /// Where `view` lies in an own buffer that all of `members` have mapped; nothing where it does not.
  std::optional<Operand> find(const TensorView& view, const std::vector<int>& members) const;
  /// The memory of an operand that `world_rank` has found in its window.
  std::byte* resolve(int world_rank, const Operand& operand) const;

 private:
  struct Own {
    std::uint64_t serial;
    SharedSegment segment;
    std::vector<int> members;
  };
  int world_rank_;
  mutable std::mutex mutex_;
  std::uint64_t serial_ = 0;
  std::map<const std::byte*, Own> own_;  // by start of the payload
  std::map<std::pair<int, std::uint64_t>, SharedSegment> peers_;
};

}  // namespace ferula
