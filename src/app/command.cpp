#include "app/command.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "app/jobs/host_launch.hpp"

namespace ferula {
namespace {

constexpr OptionSpec kHelp{"help", "", "Shows this text."};
constexpr OptionSpec kRanks{"ranks", "N", "Starts N ranks with mpirun on this machine."};
constexpr OptionSpec kSimulated{"ranks-simulated", "N", "Runs N ranks as threads of this process, without MPI."};

std::string column(const OptionSpec& option) {
  return fmt::format("--{}{}{}", option.name, option.value.empty() ? "" : " ", option.value);
}

}  // namespace

std::vector<OptionSpec> all_options(const Command& command) {
  std::vector<OptionSpec> options = command.options;
  if (command.ranks == CommandRanks::all_ranks) {
    options.insert(options.end(), {kRanks, kSimulated});
    for (const OptionSpec& option : host_options()) options.push_back(option);
  }
  options.push_back(kHelp);
  return options;
}

std::string help_of(const Command& command) {
  const std::vector<OptionSpec> options = all_options(command);
  std::size_t width = 0;
  for (const OptionSpec& option : options) width = std::max(width, column(option).size());
  std::string text =
      fmt::format("{}\n\nusage: {}\n\n{}\n\noptions:\n", command.summary, command.usage, command.description);
  for (const OptionSpec& option : options) text += fmt::format("  {:<{}}  {}\n", column(option), width, option.help);
  text += "\nexamples:\n";
  for (const std::string& example : command.examples) text += fmt::format("  {}\n", example);
  return text;
}

std::string help_of(std::span<const Command> commands) {
  std::string text =
      "Ferula trains and serves transformer language models on MPI ranks with ZeRO-sharded state.\n\n"
      "usage: ferula COMMAND [CONFIG.toml] [--set key=value]... [options]\n\ncommands:\n";
  for (const Command& command : commands) text += fmt::format("  {:<11} {}\n", command.name, command.summary);
  text +=
      "\n`ferula COMMAND --help` shows its options and examples; `ferula --version` the version.\n"
      "`ferula --completion bash|zsh|fish` prints a completion script, `ferula --man-pages DIR` writes man pages.\n"
      "exit codes: 0 done, 1 failed, 2 usage or configuration, 3 does not fit, 75 saved (start again to go on),\n"
      "            130 stopped by Ctrl-C (saved)\n";
  return text;
}

}  // namespace ferula
