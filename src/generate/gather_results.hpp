// Brings the texts that ranks have written to every rank.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "generate/generation_request.hpp"

namespace ferula {

/// The results of all requests in their order. `mine`: those of requests rank, rank + size, … of this rank. Called by
/// all ranks of the group. Cost: one all-gather of the longest rank's tokens and texts.
std::vector<GenerationResult> gather_results(Communicator& group, Stream& stream, std::size_t requests,
                                             std::span<const GenerationResult> mine);

}  // namespace ferula
