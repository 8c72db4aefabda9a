// The words after `ferula COMMAND`: options and positional arguments. The one place that uses Boost.Program_options.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// One `--name VALUE`, or a switch where `value` is empty.
struct OptionSpec {
  std::string_view name;   // "max-new-tokens"
  std::string_view value;  // "N": how help calls the value; empty: a switch
  std::string_view help;   // one sentence
};

/// What was typed, parsed. An option may be given several times; where one value is wanted the last one counts.
class CommandLine {
 public:
  /// Throws ConfigError with the nearest known option for an unknown one, and for a missing value.
  CommandLine(std::string_view command, std::span<const OptionSpec> options, std::span<const std::string> arguments);

  bool has(std::string_view option) const { return values_.find(option) != values_.end(); }
  std::optional<std::string> text(std::string_view option) const;
  /// Throws ConfigError unless the value is a whole number of at least `least` and at most `most`.
  std::optional<std::int64_t> integer(std::string_view option, std::int64_t least = 0,
                                      std::int64_t most = std::numeric_limits<std::int64_t>::max()) const;
  /// Throws ConfigError unless the value is a finite number.
  std::optional<double> number(std::string_view option) const;
  /// Every value given, in order.
  std::vector<std::string> all(std::string_view option) const;

  const std::vector<std::string>& positionals() const { return positionals_; }
  /// Positional `index`; throws ConfigError that asks for `what` ("a configuration, e.g. configs/quickstart.toml").
  const std::string& positional(std::size_t index, std::string_view what) const;
  /// Throws ConfigError that names the first argument beyond `count`.
  void expect_at_most(std::size_t count) const;

 private:
  std::string command_;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> positionals_;
};

}  // namespace ferula
