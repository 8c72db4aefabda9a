// How a failure reaches the user.
#pragma once

#include "base/failure.hpp"

namespace ferula {

/// Prints the failure on standard error.
void announce(const Failure& failure) noexcept;

}  // namespace ferula
