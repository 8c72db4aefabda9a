// A decorator for debugging: before each collective the ranks compare what they are about to do.
#pragma once

#include <memory>

#include "comm/communicator.hpp"

namespace ferula {

/// Ranks whose calls differ (order, operation, dtype, count, reduction or root) all throw CommError that names the two
/// ranks and both operations; `axis` names the group. Messages are not compared. Cost: one more all-gather of a few
/// words before each collective.
std::unique_ptr<Communicator> check_collectives(std::unique_ptr<Communicator> inner, std::string_view axis,
                                                int world_rank);

}  // namespace ferula
