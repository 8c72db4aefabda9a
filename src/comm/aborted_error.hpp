// The error of a rank that only follows another.
#pragma once

#include "base/error.hpp"

namespace ferula {

/// The group was aborted: an echo of the error of the rank that gave up. Where that error is known, it is told instead.
class AbortedError : public CommError {
 public:
  using CommError::CommError;
};

}  // namespace ferula
