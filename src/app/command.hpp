// What a subcommand is: a row of the command table in main.cpp. Each one lives in a file of its own.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/command_line.hpp"
#include "app/invocation.hpp"
#include "base/error.hpp"

namespace ferula {

/// `one_process`: where several ranks are started, rank 0 works alone. `all_ranks`: the ranks work together.
enum class CommandRanks : unsigned char { one_process, all_ranks };
/// `ends`: Ctrl-C and SIGTERM end the program at once. `saves`: the first one asks it to save (see StopRequest).
enum class CommandStop : unsigned char { ends, saves };

struct Command {
  std::string_view name;              // "train"
  std::string_view summary;           // one line of `ferula --help`
  std::string_view usage;             // "ferula train CONFIG.toml [options]"
  std::string_view description;       // a paragraph of `ferula train --help`
  std::vector<OptionSpec> options;    // without the common ones
  std::vector<std::string> examples;  // "ferula train my.toml --ranks 4"
  CommandRanks ranks = CommandRanks::one_process;
  CommandStop stop = CommandStop::ends;
  ExitCode (*run)(const CommandLine& line, const Invocation& invocation) = nullptr;
  /// Throws what is wrong already before any of so many ranks starts; null where that shows on the ranks alone.
  void (*check)(const CommandLine& line, int ranks) = nullptr;
};

/// The options of the command with those that every command has.
std::vector<OptionSpec> all_options(const Command& command);
/// The text of `ferula COMMAND --help`.
std::string help_of(const Command& command);
/// The text of `ferula --help`.
std::string help_of(std::span<const Command> commands);

Command bench_command();
Command checkpoint_command();
Command compare_command();
Command config_command();
Command doctor_command();
Command evaluate_command();
Command generate_command();
Command plan_command();
Command status_command();
Command submit_command();
Command tokenize_command();
Command train_command();

}  // namespace ferula
