// The command line of a benchmark's program: words of the form name=value, each with a default.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace ferula::bench {

class Arguments {
 public:
  /// Throws ConfigError for a word that is not name=value.
  Arguments(int count, char** words);

  std::int64_t number(const std::string& name, std::int64_t fallback) const;
  std::string word(const std::string& name, const std::string& fallback) const;

 private:
  std::map<std::string, std::string> values_;
};

/// What the `main` of a benchmark returns: runs it with its arguments; an error is printed and gives 1.
int run_program(int count, char** words, void (*run)(const Arguments&));

}  // namespace ferula::bench
