// How a mistake is shown: label, sentence, source line, underline, fix.
#include "config/diagnostic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace ferula {
namespace {

/// Blanks as wide as the first `characters` characters of `line`; tabs stay tabs, so that the underline meets its text.
std::string padding(std::string_view line, std::int64_t characters) {
  std::string pad;
  for (const char c : line) {
    const bool continues = (static_cast<unsigned char>(c) & 0xC0u) == 0x80u;
    if (continues) continue;
    if (characters-- <= 0) break;
    pad.push_back(c == '\t' ? '\t' : ' ');
  }
  if (characters > 0) pad.append(static_cast<std::size_t>(characters), ' ');
  return pad;
}

std::string all_shown(const std::vector<ConfigMistake>& mistakes) {
  std::string text = mistakes.size() == 1 ? "the configuration has a mistake\n"
                                          : fmt::format("the configuration has {} mistakes\n", mistakes.size());
  for (const ConfigMistake& mistake : mistakes) text += "\n" + mistake.shown();
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

/// Files first, then the environment, then `--set`: the order of precedence.
int origin_order(const SourceLocation& where) {
  if (where.line > 0) return 0;
  return where.origin == "--set" ? 2 : 1;
}

}  // namespace

std::string SourceLocation::label() const { return line > 0 ? fmt::format("{}:{}:{}", origin, line, column) : origin; }

std::string ConfigMistake::shown() const {
  const std::string label = where.label();
  std::string result = label.empty() ? message + "\n" : fmt::format("{}: {}\n", label, message);
  if (!where.text.empty()) {
    const std::string number = where.line > 0 ? std::to_string(where.line) : "";
    const std::string underline(static_cast<std::size_t>(std::max<std::int64_t>(where.length, 1)), '^');
    result += fmt::format(" {} | {}\n", number, where.text);
    result += fmt::format(" {:>{}} | {}{}\n", "", number.size(), padding(where.text, where.column - 1), underline);
  }
  for (const RelatedKey& other : related) result += fmt::format("   see {} at {}\n", other.key, other.where.label());
  if (!fix.empty()) result += fmt::format("   fix: {}\n", fix);
  return result;
}

ConfigMistakes::ConfigMistakes(std::vector<ConfigMistake> mistakes)
    : ConfigError(all_shown(mistakes)), mistakes_(std::move(mistakes)) {}

void throw_if_any(std::vector<ConfigMistake> mistakes) {
  if (mistakes.empty()) return;
  std::stable_sort(mistakes.begin(), mistakes.end(), [](const ConfigMistake& a, const ConfigMistake& b) {
    const auto place = [](const ConfigMistake& m) {
      return std::tuple(origin_order(m.where), m.where.line, m.where.column);
    };
    return place(a) < place(b);
  });
  throw ConfigMistakes(std::move(mistakes));
}

std::int64_t character_count(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; });
}

}  // namespace ferula
