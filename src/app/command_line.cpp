#include "app/command_line.hpp"

#include <boost/program_options.hpp>

#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "config/nearest_name.hpp"

namespace ferula {
namespace {

namespace po = boost::program_options;

po::options_description described(std::span<const OptionSpec> options) {
  po::options_description description;
  for (const OptionSpec& option : options) {
    const std::string name = option.name == "help" ? "help,h" : std::string(option.name);
    if (option.value.empty())
      description.add_options()(name.c_str(), "");
    else
      description.add_options()(name.c_str(), po::value<std::vector<std::string>>(), "");
  }
  return description;
}

[[noreturn]] void refuse_unknown(std::string_view command, std::string option, std::span<const OptionSpec> options) {
  std::vector<std::string> names;
  for (const OptionSpec& known : options) names.push_back("--" + std::string(known.name));
  const std::optional<std::string> near = nearest_name(option, names);
  throw ConfigError(fmt::format("`ferula {}` has no option '{}'{}; `ferula {} --help` lists them", command, option,
                                near ? fmt::format(", did you mean {}?", *near) : "", command));
}

}  // namespace

CommandLine::CommandLine(std::string_view command, std::span<const OptionSpec> options,
                         std::span<const std::string> arguments)
    : command_(command) {
  const po::options_description description = described(options);
  const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  try {
    const std::vector<std::string> words(arguments.begin(), arguments.end());
    const po::parsed_options parsed = po::command_line_parser(words)
                                          .options(description)
                                          .positional(po::positional_options_description().add("positional", -1))
                                          .style(style)
                                          .allow_unregistered()
                                          .run();
    for (const po::option& option : parsed.options) {
      if (option.position_key >= 0) {
        positionals_.insert(positionals_.end(), option.value.begin(), option.value.end());
      } else if (option.unregistered) {
        refuse_unknown(command, option.original_tokens.empty() ? option.string_key : option.original_tokens.front(),
                       options);
      } else {
        std::vector<std::string>& values = values_[option.string_key];
        values.insert(values.end(), option.value.begin(), option.value.end());
      }
    }
  } catch (const po::error& error) {
    throw ConfigError(fmt::format("{}; `ferula {} --help` shows how it is used", error.what(), command));
  }
}

std::optional<std::string> CommandLine::text(std::string_view option) const {
  const auto found = values_.find(option);
  if (found == values_.end() || found->second.empty()) return std::nullopt;
  return found->second.back();
}

std::vector<std::string> CommandLine::all(std::string_view option) const {
  const auto found = values_.find(option);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

std::optional<std::int64_t> CommandLine::integer(std::string_view option, std::int64_t least, std::int64_t most) const {
  const std::optional<std::string> word = text(option);
  if (!word) return std::nullopt;
  std::int64_t value = 0;
  const char* end = word->data() + word->size();
  const auto [stopped, error] = std::from_chars(word->data(), end, value);
  if (error == std::errc{} && stopped == end && value >= least && value <= most) return value;
  const bool has_limit = most != std::numeric_limits<std::int64_t>::max() || error == std::errc::result_out_of_range;
  throw ConfigError(fmt::format("--{} expects a whole number of at least {}{}, found '{}'", option, least,
                                has_limit ? fmt::format(" and at most {}", most) : "", *word));
}

std::optional<double> CommandLine::number(std::string_view option) const {
  const std::optional<std::string> word = text(option);
  if (!word) return std::nullopt;
  double value = 0.0;
  const char* end = word->data() + word->size();
  const auto [stopped, error] = std::from_chars(word->data(), end, value);
  if (error != std::errc{} || stopped != end || !std::isfinite(value))
    throw ConfigError(fmt::format("--{} expects a number, found '{}'", option, *word));
  return value;
}

const std::string& CommandLine::positional(std::size_t index, std::string_view what) const {
  if (index >= positionals_.size())
    throw ConfigError(
        fmt::format("`ferula {}` expects {}; `ferula {} --help` shows examples", command_, what, command_));
  return positionals_[index];
}

void CommandLine::expect_at_most(std::size_t count) const {
  if (positionals_.size() <= count) return;
  throw ConfigError(fmt::format("`ferula {}` has no use for '{}'; `ferula {} --help` shows how it is used", command_,
                                positionals_[count], command_));
}

}  // namespace ferula
