// Runs another program to its end and keeps what it printed.
#pragma once

#include <string>
#include <vector>

namespace ferula {

/// How a program ended. 127: it was not found; 128 + n: signal n ended it.
struct ProgramOutcome {
  int code = -1;
  std::string out;
  std::string err;

  /// What it said, of standard error where there is any, without the newline at its end.
  std::string said() const;
};

/// Blocks until `words[0]`, found in PATH, has ended. Standard input is empty. Throws DeviceError where no process can
/// be made.
ProgramOutcome run_program(const std::vector<std::string>& words);

/// Becomes `words[0]`, with this terminal. Returns only where it is not found: then throws DeviceError with `advice`.
[[noreturn]] void become_program(const std::vector<std::string>& words, const std::string& advice);

}  // namespace ferula
