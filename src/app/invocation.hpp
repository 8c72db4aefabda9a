// How this process was started: what every command may want to know beside its own options.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/log.hpp"
#include "base/stop_request.hpp"

namespace ferula {

struct Invocation {
  std::string command;                     // as typed, for summary.json: "ferula train my.toml --ranks 4"
  int simulated_ranks = 0;                 // --ranks-simulated N: N ranks as threads of this process; 0: none
  LogConsole console = LogConsole::plain;  // of rank 0
  std::filesystem::path launch_report;     // where our own launcher wants to hear how this rank ended; else empty
  const StopRequest* stop = nullptr;       // never null while a command runs
};

}  // namespace ferula
