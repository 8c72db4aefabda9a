// Waits for a job of SLURM.
#pragma once

#include <chrono>
#include <string>

#include "base/error.hpp"

namespace ferula {

/// Blocks until the job, with all its tasks and starts, has left the queue; says so, and returns `done` where all of it
/// ended well, else `failed`. A SLURM that does not answer is asked again for ten minutes; then DeviceError.
ExitCode wait_for_job(const std::string& number, std::chrono::milliseconds between_looks = std::chrono::seconds(5));

}  // namespace ferula
