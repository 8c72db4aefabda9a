#include "arguments.hpp"

#include <iostream>
#include <span>

#include "base/error.hpp"

namespace ferula::bench {

Arguments::Arguments(int count, char** words) {
  for (const std::string word : std::span(words, static_cast<std::size_t>(count)).subspan(1)) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) throw ConfigError(fmt::format("expected name=value, found {}", word));
    values_[word.substr(0, equals)] = word.substr(equals + 1);
  }
}

std::int64_t Arguments::number(const std::string& name, std::int64_t fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : std::stoll(found->second);
}

std::string Arguments::word(const std::string& name, const std::string& fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : found->second;
}

int run_program(int count, char** words, void (*run)(const Arguments&)) try {
  run(Arguments(count, words));
  return 0;
} catch (const std::exception& error) {
  std::cerr << words[0] << ": " << error.what() << '\n';
  return 1;
}

}  // namespace ferula::bench
