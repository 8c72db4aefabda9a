// How this process was started: what every command may want to know beside its own options.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/log.hpp"
#include "base/stop_request.hpp"

namespace ferula {

/// `alone`: one rank. `mpi`: a process started by mpirun or srun. `simulated`: the ranks are threads of this process.
enum class RankKind : unsigned char { alone, mpi, simulated };

struct Invocation {
  std::string command;  // as typed, for summary.json: "ferula train my.toml --ranks 4"
  int ranks = 1;        // of the whole job
  RankKind kind = RankKind::alone;
  LogConsole console = LogConsole::plain;  // of rank 0
  std::filesystem::path launch_report;     // where our own launcher wants to hear how this rank ended; else empty
  const StopRequest* stop = nullptr;       // never null while a command runs
};

}  // namespace ferula
