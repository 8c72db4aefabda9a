// `--ranks N`: starts this program again as N ranks under mpirun, passes signals on and returns the ranks' exit code.
#pragma once

#include <span>
#include <string>

#include "app/command.hpp"

namespace ferula {

struct LaunchRequest {
  int ranks = 1;
  std::span<const std::string> arguments;  // as typed after `ferula`; `--ranks` stays, launched ranks skip it
  CommandStop stop = CommandStop::ends;
  LogConsole console = LogConsole::plain;
};

/// Blocks until the ranks have ended. Ctrl-C, SIGTERM and SIGHUP reach the ranks as SIGUSR1, which makes them save; a
/// second one ends them at once, as does the first one of a command that has nothing to save.
/// Returns the documented code: what the ranks reported, 130 after Ctrl-C. Throws DeviceError where mpirun cannot be
/// started or the ranks ended without a word.
ExitCode launch_ranks(const LaunchRequest& request);

/// The hidden options with which the launcher starts the ranks.
inline constexpr OptionSpec kLaunchReport{"launch-report", "FILE", ""};
inline constexpr OptionSpec kLaunchTerminal{"launch-terminal", "", ""};

}  // namespace ferula
