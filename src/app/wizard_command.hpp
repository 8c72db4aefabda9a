// `ferula config` without a word behind it: the wizard.
#pragma once

#include <vector>

#include "app/command_line.hpp"
#include "base/error.hpp"

namespace ferula {

/// The options of the wizard alone.
std::vector<OptionSpec> wizard_options();
/// Asks on a terminal, or takes what --answers and --yes say, and writes the configuration. Throws ConfigError where
/// there is neither.
ExitCode run_wizard(const CommandLine& line);

}  // namespace ferula
