// `ferula config`: checks a configuration, shows its resolved values, lists all keys, writes a new file.
#include <fmt/format.h>

#include "app/command.hpp"
#include "app/common_options.hpp"
#include "config/load_config.hpp"

namespace ferula {
namespace {

ExitCode check(const CommandLine& line) {
  const std::string& path = line.positional(1, "a configuration, e.g. `ferula config check my.toml`");
  line.expect_at_most(2);
  load_config(path, ferula_environment(), line.all(kSet.name));
  fmt::print("{}: no mistakes\n", path);
  return ExitCode::done;
}

ExitCode run(const CommandLine& line, const Invocation&) {
  const std::string& action = line.positional(0, "check, show, keys or new");
  if (action == "check") return check(line);
  throw ConfigError("?");
}

}  // namespace

Command config_command() {
  return {.name = "config",
          .summary = "Checks, shows and writes configurations.",
          .usage = "ferula config check|show|keys|new [CONFIG.toml] [--set key=value]... [options]",
          .description = "check  reports every mistake of a configuration at once, with line and fix\n",
          .options = {kSet},
          .examples = {"ferula config check my.toml"},
          .ranks = CommandRanks::one_process,
          .stop = CommandStop::ends,
          .run = run};
}

}  // namespace ferula
