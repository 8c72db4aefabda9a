// Whether somebody asked the program to save and end: what the trainer reads at the end of a step.
#pragma once

#include "base/error.hpp"

namespace ferula {

class StopRequest {
 public:
  virtual ~StopRequest() = default;
  /// `done`: nobody asked. `resume_me`: SIGUSR1, SIGTERM or SIGHUP. `interrupted`: Ctrl-C. Ranks may see it in
  /// different steps, so they must agree before they act on it: the largest value of all ranks counts.
  virtual ExitCode asked() const = 0;
};

}  // namespace ferula
