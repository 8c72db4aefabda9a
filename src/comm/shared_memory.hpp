// The communicator of processes on one node, over memory that they map of each other.
#pragma once

#include <functional>
#include <memory>

#include "comm/group_channel.hpp"
#include "comm/node_window.hpp"

namespace ferula {

struct SharedMemoryOptions {
  std::int64_t chunk_bytes = 1024 << 10;        // bounce memory, two chunks of an operand that lies elsewhere
  std::int64_t message_chunk_bytes = 64 << 10;  // the same for a message, one for each peer
  MeetingTimes meeting_times = {};
};

/// Bytes of buffers that a rank takes for what passes through a group of so many.
std::int64_t shared_memory_transit_bytes(int ranks, const SharedMemoryOptions& options);

/// Gives a rank's card to all ranks of the group and returns all of them in rank order. Used at creation only.
using ExchangeCards = std::function<std::vector<SegmentCard>(const SegmentCard&)>;

/// Called by all ranks of the group. Null on all of them where one cannot map the memory of another, as between
/// containers. `window` and `device` must outlive the result. The file descriptors are closed before it returns.
std::unique_ptr<Communicator> make_shared_memory_communicator(GroupIdentity identity, NodeWindow& window,
                                                              Device& device, const SharedMemoryOptions& options,
                                                              const ExchangeCards& exchange);

}  // namespace ferula
