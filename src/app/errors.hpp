// Exceptions as what a user sees: a message and an exit code.
#pragma once

#include <exception>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "comm/launch_environment.hpp"

namespace ferula {

struct Failure {
  std::string message;
  ExitCode code = ExitCode::failed;
};

/// The exception's message and code; memory that ran out is "does not fit", anything unknown "failed".
Failure failure_of(const std::exception_ptr& error) noexcept;

/// Prints the failure on standard error. Of several ranks rank 0 speaks at once; another one waits a second, in which
/// rank 0 ends the job if it has the same problem, so that one mistake is told once.
void announce(const Failure& failure, const std::optional<LaunchedRank>& rank) noexcept;

}  // namespace ferula
