// How ranks that `--ranks N` started tell their launcher that they listen, and how they ended; and how the launcher
// tells them that the signal which it passes on was a Ctrl-C. mpirun's own exit code cannot: it takes "saved, resume
// me" of one rank for a failure and ends the others.
#pragma once

#include <filesystem>
#include <optional>

#include "base/error.hpp"

namespace ferula {

/// A file of short lines to which every rank appends. An empty path reports to nobody.
void report_ready(const std::filesystem::path& report);
void report_end(const std::filesystem::path& report, ExitCode code);

/// The launcher's word, before it sends the signal.
void report_interrupt(const std::filesystem::path& report);

/// What has been written so far.
struct LaunchReport {
  int ready = 0;                      // ranks that handle signals
  int ended = 0;                      // ranks that said how they ended
  bool is_interrupted = false;        // by Ctrl-C
  std::optional<ExitCode> error;      // of the first rank that failed
  ExitCode success = ExitCode::done;  // the largest of the others: done, resume_me or interrupted
};

LaunchReport read_launch_report(const std::filesystem::path& report);

}  // namespace ferula
