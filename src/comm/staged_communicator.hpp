// A communicator for memory that the transport cannot reach, a GPU's: operands pass through memory that host and device
// share, in pieces, and another communicator exchanges those.
#pragma once

#include <memory>
#include <string>

#include "comm/communicator.hpp"

namespace ferula {

struct StagedOptions {
  std::int64_t chunk_bytes = 8 << 20;          // shared memory that the collectives of a group pass through
  std::int64_t message_chunk_bytes = 1 << 20;  // longer messages are cut into pieces of this size
  std::string why = {};                        // why not NCCL, for headers; may be empty
};

/// Bytes of buffers that a staged communicator of so many ranks takes. The first message takes as much again as the
/// messages of one group have, at least one piece.
std::int64_t staged_transit_bytes(int ranks, const StagedOptions& options);

/// Gives the same bits as `inner`, which sees host memory only, in the order of the caller's stream: a copy down, the
/// collective of `inner`, a copy up. `device` must outlive the result; all ranks pass equal `options`.
/// Cost beside that of `inner`: each operand once over the bus in each direction.
std::unique_ptr<Communicator> make_staged_communicator(std::unique_ptr<Communicator> inner, Device& device,
                                                       const StagedOptions& options = {});

}  // namespace ferula
