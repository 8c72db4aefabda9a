// From the words of the command line to the exit code: finds the command, starts ranks where asked, reports errors.
#pragma once

#include <span>
#include <string>

#include "app/command.hpp"

namespace ferula {

/// Runs `ferula ARGUMENTS`. Never throws: every error is printed on standard error and becomes its exit code.
ExitCode run_program(std::span<const Command> commands, std::span<const std::string> arguments) noexcept;

}  // namespace ferula
