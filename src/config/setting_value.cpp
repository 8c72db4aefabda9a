// Conversions and limits, one overload a type.
#include "config/setting_value.hpp"

#include <fmt/format.h>

#include <cmath>
#include <type_traits>
#include <utility>

#include "config/nearest_name.hpp"

namespace ferula {
namespace {

constexpr double kFirstBeyondInt64 = 9223372036854775808.0;  // 2^63

template <class T>
struct AutoOf : std::false_type {};
template <class T>
struct AutoOf<Auto<T>> : std::true_type {
  using Value = T;
};

std::string toml_quoted_list(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + toml_quoted(word);
  return text;
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ", ")); }

/// A number as people write it: 16777216 and not 1.67772e+07; 0.0001 and 1e-15 alike.
std::string number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return fmt::format("{:.0f}", value);
  return fmt::format("{}", value);
}

/// A float in TOML needs a point or an exponent.
std::string toml_float(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

std::string range_text(const Limits& limits) {
  if (limits.least && limits.most && !limits.above_least && !limits.below_most) {
    return fmt::format("from {} to {}", number_text(*limits.least), number_text(*limits.most));
  }
  std::string text;
  if (limits.least) text = (limits.above_least ? "above " : "at least ") + number_text(*limits.least);
  if (limits.least && limits.most) text += " and ";
  if (limits.most) text += (limits.below_most ? "below " : "at most ") + number_text(*limits.most);
  return text;
}

bool in_range(const Limits& limits, double value) {
  if (limits.least && (limits.above_least ? value <= *limits.least : value < *limits.least)) return false;
  if (limits.most && (limits.below_most ? value >= *limits.most : value > *limits.most)) return false;
  return true;
}

std::optional<std::int64_t> as_integer(const TomlNode& node) {
  if (const auto* integer = std::get_if<std::int64_t>(&node.value)) return *integer;
  const auto* number = std::get_if<double>(&node.value);
  const bool integral = number != nullptr && *number == std::floor(*number) && std::abs(*number) < kFirstBeyondInt64;
  if (!integral) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

std::optional<double> as_number(const TomlNode& node) {
  if (const auto* integer = std::get_if<std::int64_t>(&node.value)) return static_cast<double>(*integer);
  const auto* number = std::get_if<double>(&node.value);
  if (number == nullptr || !std::isfinite(*number)) return std::nullopt;
  return *number;
}

/// Reads values of one setting; each `read` fills its argument or returns the problem.
class ValueReader {
 public:
  explicit ValueReader(const Setting& setting) : setting_(setting) {}

  std::optional<ValueProblem> read(const TomlNode& node, bool& value) const {
    const auto* given = std::get_if<bool>(&node.value);
    if (given == nullptr) return problem(node, "write true or false, without quotes");
    value = *given;
    return std::nullopt;
  }

  std::optional<ValueProblem> read(const TomlNode& node, std::int64_t& value) const {
    const auto given = as_integer(node);
    if (!given || !in_range(setting_.limits, static_cast<double>(*given))) return problem(node);
    value = *given;
    return std::nullopt;
  }

  std::optional<ValueProblem> read(const TomlNode& node, double& value) const {
    const auto given = as_number(node);
    if (!given || !in_range(setting_.limits, *given)) return problem(node);
    value = *given;
    return std::nullopt;
  }

  std::optional<ValueProblem> read(const TomlNode& node, std::string& value) const {
    const Limits& limits = setting_.limits;
    const auto integer = std::get_if<std::int64_t>(&node.value);
    if (limits.integer_or_choice && integer != nullptr && *integer >= 1) {
      value = std::to_string(*integer);
      return std::nullopt;
    }
    const auto* given = std::get_if<std::string>(&node.value);
    if (given == nullptr) return problem(node);
    if (given->empty() && !limits.may_be_empty) return problem(node, "give a text that is not empty");
    if (limits.choices.empty()) {
      value = *given;
      return std::nullopt;
    }
    for (const std::string& choice : limits.choices) {
      if (choice != *given) continue;
      value = *given;
      return std::nullopt;
    }
    return wrong_word(node, *given);
  }

  template <class T>
  std::optional<ValueProblem> read(const TomlNode& node, std::vector<T>& value) const {
    std::vector<T> elements;
    if (const auto* list = std::get_if<TomlNode::List>(&node.value)) {
      for (const TomlNode& element : *list) {
        T one{};
        if (auto wrong = read(element, one)) return in_list(std::move(*wrong));
        elements.push_back(std::move(one));
      }
    } else if (std::is_same_v<T, std::string> && std::holds_alternative<std::string>(node.value)) {
      T one{};
      if (auto wrong = read(node, one)) return wrong;
      elements.push_back(std::move(one));
    } else {
      return problem(node);
    }
    if (setting_.limits.entries && elements.size() != *setting_.limits.entries) return problem(node);
    value = std::move(elements);
    return std::nullopt;
  }

  template <class T>
  std::optional<ValueProblem> read(const TomlNode& node, Auto<T>& value) const {
    const auto* word = std::get_if<std::string>(&node.value);
    if (word != nullptr && *word == "auto") {
      value = Auto<T>();
      return std::nullopt;
    }
    T given{};
    if (auto wrong = read(node, given)) return wrong;
    value = Auto<T>(given);
    return std::nullopt;
  }

 private:
  ValueProblem problem(const TomlNode& node, std::string fix = "") const {
    if (fix.empty()) fix = fmt::format("`ferula config keys {}` explains it: {}", setting_.key, setting_.help);
    return {expectation_text(setting_), node.in_words(), std::move(fix)};
  }

  ValueProblem wrong_word(const TomlNode& node, const std::string& word) const {
    for (const std::string& later : setting_.limits.later_choices) {
      if (later != word) continue;
      ValueProblem unborn = problem(node);
      unborn.found += ", which belongs to a feature that does not exist yet";
      unborn.fix = "use " + toml_quoted_list(setting_.limits.choices);
      return unborn;
    }
    const auto nearest = nearest_name(word, setting_.limits.choices);
    return problem(node, nearest ? fmt::format("did you mean {}?", toml_quoted(*nearest)) : "");
  }

  static ValueProblem in_list(ValueProblem wrong) {
    wrong.found += " in it";
    return wrong;
  }

  const Setting& setting_;
};

std::string plain_text(bool value) { return value ? "true" : "false"; }
std::string plain_text(std::int64_t value) { return std::to_string(value); }
std::string plain_text(double value) { return toml_float(value); }
std::string plain_text(const std::string& value) { return toml_quoted(value); }

template <class T>
std::string plain_text(const std::vector<T>& values) {
  std::string text;
  for (const T& value : values) text += (text.empty() ? "" : ", ") + plain_text(value);
  return "[" + text + "]";
}

template <class T>
std::string plain_text(const Auto<T>& value) {
  return value.is_auto() ? "\"auto\"" : plain_text(value.get());
}

std::string type_name(const bool*) { return "true or false"; }
std::string type_name(const std::int64_t*) { return "an integer"; }
std::string type_name(const double*) { return "a number"; }
std::string type_name(const std::string*) { return "a string"; }
std::string type_name(const std::vector<std::string>*) { return "a list of strings"; }
std::string type_name(const std::vector<double>*) { return "a list of numbers"; }
std::string type_name(const Auto<bool>*) { return "true, false or \"auto\""; }
std::string type_name(const Auto<std::int64_t>*) { return "\"auto\" or an integer"; }
std::string type_name(const Auto<double>*) { return "\"auto\" or a number"; }

}  // namespace

std::optional<ValueProblem> assign(Setting& setting, const TomlNode& node) {
  return std::visit([&](auto* member) { return ValueReader(setting).read(node, *member); }, setting.target);
}

std::string value_text(const Setting& setting) {
  if (setting.limits.integer_or_choice) {
    const std::string& text = *std::get<std::string*>(setting.target);
    if (text.find_first_not_of("0123456789") == std::string::npos) return text;
  }
  return std::visit([](const auto* member) { return plain_text(*member); }, setting.target);
}

std::string expectation_text(const Setting& setting) {
  const Limits& limits = setting.limits;
  const std::string range = range_text(limits);
  std::string text = std::visit([](const auto* member) { return type_name(member); }, setting.target);
  if (limits.integer_or_choice) {
    text = fmt::format("a positive integer or {}", toml_quoted(joined(limits.choices)));
  } else if (!limits.choices.empty()) {
    const bool is_list = std::holds_alternative<std::vector<std::string>*>(setting.target);
    const std::string_view how_many = limits.choices.size() == 1 ? "" : "one of ";
    text = fmt::format("{}{}", is_list ? "a list out of " : how_many, toml_quoted_list(limits.choices));
  } else if (limits.entries) {
    text += fmt::format(", {} of them, each {}", *limits.entries, range);
  } else if (!range.empty()) {
    text += (range.starts_with("from") ? " " : ", ") + range;
  }
  if (!setting.unit.empty()) text += fmt::format(" ({})", setting.unit);
  return text;
}

bool takes_text(const Setting& setting) {
  return std::holds_alternative<std::string*>(setting.target) && !setting.limits.integer_or_choice;
}

}  // namespace ferula
