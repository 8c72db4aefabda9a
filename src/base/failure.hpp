// Exceptions as what a user sees: a message and an exit code.
#pragma once

#include <exception>
#include <string>

#include "base/error.hpp"

namespace ferula {

struct Failure {
  std::string message;
  ExitCode code = ExitCode::failed;
  bool is_shared = false;  // every rank has it
};

/// The exception's message and code; memory that ran out is "does not fit", anything unknown "failed".
Failure failure_of(const std::exception_ptr& error) noexcept;

}  // namespace ferula
