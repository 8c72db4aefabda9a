// Turns SIGUSR1, SIGTERM, SIGHUP and the first Ctrl-C into a request that the trainer reads at the end of a step.
#pragma once

#include <csignal>
#include <filesystem>
#include <map>

#include "base/stop_request.hpp"

namespace ferula {

/// Whether the process was started with a signal that it must not heed, as `nohup` and `&` do.
bool is_ignored(int signal);

/// Handles these signals while it lives; at most one object at a time. A second Ctrl-C ends the program at once. A
/// reader of the output that goes away (SIGPIPE) does not end a run, and a hang-up that `nohup` ignores stays ignored.
class StopSignals final : public StopRequest {
 public:
  /// `launch_report`: where our own launcher says that the SIGUSR1 which it sends was a Ctrl-C; empty without one.
  explicit StopSignals(std::filesystem::path launch_report = {});
  ~StopSignals() override;
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  ExitCode asked() const override;

 private:
  std::filesystem::path launch_report_;
  std::map<int, struct sigaction> previous_;
};

/// For commands that end at the signal itself: nobody ever asks.
class NoStopRequest final : public StopRequest {
 public:
  ExitCode asked() const override { return ExitCode::done; }
};

}  // namespace ferula
