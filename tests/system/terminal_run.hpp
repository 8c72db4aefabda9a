// Runs the built program on a pseudo-terminal, as a person at a keyboard does.
#pragma once

#include <string>
#include <vector>

#include "program.hpp"

namespace ferula::system_tests {

/// A terminal of so many columns, and where programs are looked for before PATH.
struct Screen {
  int columns = 80;
  int rows = 24;
  std::string path_before = {};
};

/// Starts `ferula WORDS…` in the workplace on a terminal of its own and types each line once the program waits behind a
/// prompt. Keys: "\n" ends a line, "\x03" is Ctrl-C, "\x04" Ctrl-D. Returns when it has ended; `out` is what the
/// screen showed, with the echo of what was typed and without carriage returns. A program that does not end within a
/// minute is killed.
Outcome ferula_on_terminal(const Workplace& workplace, const std::vector<std::string>& words,
                           const std::vector<std::string>& keys, const Screen& screen = {});

}  // namespace ferula::system_tests
