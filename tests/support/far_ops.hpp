// The CPU's operations as those of a FarDevice: they alone reach its memory.
#pragma once

#include <memory>

#include "ops/ops.hpp"

namespace ferula::test {

/// Same bits as the CPU's operations. Operands may lie in far memory or in the host's.
std::unique_ptr<Ops> make_far_ops(Device& device);

}  // namespace ferula::test
