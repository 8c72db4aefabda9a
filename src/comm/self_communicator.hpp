// The group of one rank: its collectives do nothing, or copy where source and destination differ.
#pragma once

#include <memory>

#include "comm/communicator.hpp"

namespace ferula {

/// `device` must outlive the communicator; `allocate` takes memory from it.
std::unique_ptr<Communicator> make_self_communicator(Device& device);

}  // namespace ferula
