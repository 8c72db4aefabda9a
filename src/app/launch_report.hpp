// How ranks that `--ranks N` started tell their launcher that they listen, and how they ended. mpirun's own exit code
// cannot: it takes "saved, resume me" of one rank for a failure and ends the others.
#pragma once

#include <filesystem>
#include <optional>

#include "base/error.hpp"

namespace ferula {

/// A file of short lines to which every rank appends. An empty path reports to nobody.
void report_ready(const std::filesystem::path& report);
void report_end(const std::filesystem::path& report, ExitCode code);

/// What the ranks have written so far.
struct LaunchReport {
  int ready = 0;                      // ranks that handle signals
  int ended = 0;                      // ranks that said how they ended
  std::optional<ExitCode> error;      // of the first rank that failed
  ExitCode success = ExitCode::done;  // the largest of the others: done, resume_me or interrupted
};

LaunchReport read_launch_report(const std::filesystem::path& report);

}  // namespace ferula
