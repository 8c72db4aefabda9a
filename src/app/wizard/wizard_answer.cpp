// From what was typed to an answer in its normal form, or to a sentence that asks again.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "app/wizard/wizard_question.hpp"
#include "config/nearest_name.hpp"
#include "config/setting_value.hpp"
#include "config/toml_guard.hpp"

namespace ferula {
namespace {

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

template <class T>
std::optional<T> parsed(const std::string& text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end ? std::optional(value) : std::nullopt;
}

ReadAnswer read_yes_no(const std::string& text) {
  const std::string word = lower(text);
  for (const std::string_view yes : {"yes", "y", "1", "true"})
    if (word == yes) return {"yes"};
  for (const std::string_view no : {"no", "n", "0", "false"})
    if (word == no) return {"no"};
  return {"", "Please enter yes or no."};
}

ReadAnswer read_integer(const std::string& text) {
  if (const auto value = parsed<std::int64_t>(text)) return {std::to_string(*value)};
  return {"", "Please enter an integer."};
}

ReadAnswer read_number(const std::string& text) {
  const auto value = parsed<double>(text);
  if (!value || !std::isfinite(*value)) return {"", "Please enter a number."};
  return {fmt::format("{}", *value)};
}

bool are_numbers(const std::vector<Choice>& choices) {
  return std::all_of(choices.begin(), choices.end(),
                     [](const Choice& each) { return parsed<std::int64_t>(each.value).has_value(); });
}

/// By value, by its number in the list (where the values are no numbers themselves), or by its beginning.
ReadAnswer read_choice(const std::vector<Choice>& choices, const std::string& text) {
  const std::string word = lower(text);
  std::vector<std::string> values, beginning;
  for (const Choice& each : choices) {
    values.push_back(each.value);
    if (lower(each.value) == word) return {each.value};
    if (lower(each.value).starts_with(word)) beginning.push_back(each.value);
  }
  const auto number = parsed<std::size_t>(text);
  if (number && !are_numbers(choices) && *number >= 1 && *number <= choices.size()) return {choices[*number - 1].value};
  if (beginning.size() == 1) return {beginning.front()};
  const auto near = nearest_name(text, values);
  return {"", fmt::format("Please enter one of: {}.{}", fmt::join(values, ", "),
                          near ? fmt::format(" Did you mean {}?", *near) : "")};
}

std::string unquoted(const std::string& text) {
  const bool is_quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return is_quoted ? text.substr(1, text.size() - 2) : text;
}

/// Words between commas, or a list as TOML has it; its normal form is the latter.
ReadAnswer read_list(const std::vector<Choice>& found, const std::string& text) {
  std::vector<std::string> words;
  const auto number = parsed<std::size_t>(text);
  if (number && *number >= 1 && *number <= found.size()) {
    words.push_back(found[*number - 1].value);
  } else if (text.starts_with("[") && !is_broken_toml_value(text)) {
    const TomlNode node = parse_toml_value(text, {});
    if (const auto* list = std::get_if<TomlNode::List>(&node.value))
      for (const TomlNode& each : *list)
        if (const auto* word = std::get_if<std::string>(&each.value)) words.push_back(*word);
  } else {
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t comma = std::min(text.find(',', at), text.size());
      if (std::string word = unquoted(trimmed(text.substr(at, comma - at))); !word.empty()) words.push_back(word);
      at = comma + 1;
    }
  }
  if (words.empty()) return {"", "Please enter a name, or several with commas between."};
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : ", ") + toml_quoted(word);
  return {"[" + list + "]"};
}

ReadAnswer read_form(const Question& question, const WizardView& view, const std::string& text) {
  switch (question.kind) {
    case AnswerKind::yes_no:
      return read_yes_no(text);
    case AnswerKind::integer:
      return read_integer(text);
    case AnswerKind::number:
      return read_number(text);
    case AnswerKind::choice:
      return read_choice(choices_of(question, view), text);
    case AnswerKind::list:
      return read_list(choices_of(question, view), text);
    case AnswerKind::text:
      break;
  }
  return text.empty() ? ReadAnswer{"", "Please enter a text."} : ReadAnswer{text};
}

/// The setting's value so far as it would be typed.
std::string value_so_far(const Question& question, const WizardView& view) {
  Config config = view.config();
  for (const Setting& setting : settings_of(config)) {
    if (setting.key != question.key || setting.is_auto()) continue;
    const std::string text = value_text(setting);
    if (question.kind == AnswerKind::yes_no) return text == "true" ? "yes" : "no";
    return unquoted(text);
  }
  return "";
}

}  // namespace

std::vector<Choice> choices_of(const Question& question, const WizardView& view) {
  if (question.choices != nullptr) return question.choices(view);
  std::vector<Choice> choices;
  Config any;
  if (question.kind == AnswerKind::choice)
    for (const Setting& setting : settings_of(any))
      if (setting.key == question.key)
        for (const std::string& word : setting.limits.choices) choices.push_back({word});
  return choices;
}

ReadAnswer read_answer(const Question& question, const WizardView& view, const std::string& typed) {
  if (const auto finding = refuse_toml(typed))
    return {"", fmt::format("Expected {}, found {}. Please enter it again.", finding->expected, finding->found)};
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  const std::string text = trimmed(typed);
  if (std::any_of(text.begin(), text.end(), is_control))
    return {"", "Control characters cannot be part of an answer. Please enter it again."};
  ReadAnswer read = read_form(question, view, text);
  if (!read.problem.empty()) return read;
  std::string why = question.objection == nullptr ? "" : question.objection(view, read.value);
  if (why.empty()) why = view.mistake_of(question, read.value);
  return why.empty() ? read : ReadAnswer{"", why};
}

std::optional<std::string> usual_answer(const Question& question, const WizardView& view) {
  const std::string typed = question.usual != nullptr ? question.usual(view) : value_so_far(question, view);
  if (typed.empty()) return std::nullopt;
  ReadAnswer read = read_answer(question, view, typed);
  return read.problem.empty() ? std::optional(std::move(read.value)) : std::nullopt;
}

}  // namespace ferula
