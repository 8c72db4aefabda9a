#include "app/wizard/wizard_answers.hpp"

#include "config/nearest_name.hpp"
#include "config/toml_document.hpp"

namespace ferula {
namespace {

constexpr std::string_view kHeader = "# Answers kept by `ferula config`";

std::optional<std::string> text_of(const TomlNode& node) {
  if (const auto* word = std::get_if<std::string>(&node.value)) return *word;
  if (const auto* integer = std::get_if<std::int64_t>(&node.value)) return std::to_string(*integer);
  if (const auto* number = std::get_if<double>(&node.value)) return fmt::format("{}", *number);
  if (const auto* truth = std::get_if<bool>(&node.value)) return *truth ? "yes" : "no";
  const auto* list = std::get_if<TomlNode::List>(&node.value);
  if (list == nullptr) return std::nullopt;
  std::string words;
  for (const TomlNode& each : *list) {
    const auto* word = std::get_if<std::string>(&each.value);
    if (word == nullptr) return std::nullopt;
    words += (words.empty() ? "" : ", ") + toml_quoted(*word);
  }
  return "[" + words + "]";
}

ConfigMistake unknown_name(const std::string& name, const SourceLocation& where) {
  std::vector<std::string> names;
  for (const Question& each : wizard_questions()) names.emplace_back(each.id);
  const auto near = nearest_name(name, names);
  return {.key = name,
          .message = fmt::format("expected the name of a question, found '{}'", name),
          .fix = near ? fmt::format("did you mean '{}'?", *near) : "`ferula config questions` lists them",
          .where = where};
}

std::string value_of(const Question& question, const std::string& answer) {
  if (question.kind == AnswerKind::yes_no) return answer == "yes" ? "true" : "false";
  if (question.kind == AnswerKind::text || question.kind == AnswerKind::choice) return toml_quoted(answer);
  return answer;
}

std::string_view kind_in_words(AnswerKind kind) {
  switch (kind) {
    case AnswerKind::yes_no:
      return "yes or no";
    case AnswerKind::integer:
      return "an integer";
    case AnswerKind::number:
      return "a number";
    case AnswerKind::choice:
      return "a word";
    case AnswerKind::list:
      return "names";
    case AnswerKind::text:
      break;
  }
  return "a text";
}

std::string when_in_words(const Question& question) {
  std::string when = question.when.empty() ? "always" : std::string(question.when);
  if (question.asked == Asked::common) return when;
  when = question.when.empty() ? "after `all`" : when + ", after `all`";
  return question.urgent == nullptr ? when : fmt::format("{}, or {}", when, question.urgent_when);
}

}  // namespace

std::string answers_toml(const Answers& answers) {
  std::string text = fmt::format("{}; `ferula config --answers FILE` takes them.\n", kHeader);
  for (const Question& question : wizard_questions())
    if (const auto found = answers.find(question.id); found != answers.end())
      text += fmt::format("{} = {}\n", question.id, value_of(question, found->second));
  return text;
}

bool is_kept_by_wizard(std::string_view text) { return text.starts_with(kHeader); }

Answers answers_in(const std::string& text, const std::string& origin) {
  const TomlNode document = parse_toml(text, origin);
  Answers answers;
  std::vector<ConfigMistake> mistakes;
  for (const auto& [name, entry] : std::get<TomlNode::Table>(document.value)) {
    if (question_named(name) == nullptr) {
      mistakes.push_back(unknown_name(name, entry.key));
    } else if (const auto value = text_of(entry.node)) {
      answers.emplace(name, *value);
    } else {
      mistakes.push_back({.key = name,
                          .message = fmt::format("{}: expected {}, found {}", name,
                                                 kind_in_words(question_named(name)->kind), entry.node.in_words()),
                          .fix = "write it as you would type it",
                          .where = entry.node.where});
    }
  }
  throw_if_any(std::move(mistakes));
  return answers;
}

std::string questions_markdown() {
  std::string text, section;
  for (const Question& each : wizard_questions()) {
    if (section != each.section) {
      section = each.section;
      text += fmt::format("{}**{}**\n\n| name | question | answer | asked |\n|---|---|---|---|\n",
                          text.empty() ? "" : "\n", section);
    }
    const std::string key = each.key.empty() ? "" : fmt::format(" Sets `{}`.", each.key);
    text += fmt::format("| `{}` | {} *{}*{} | {} | {} |\n", each.id, each.prompt, each.help, key,
                        kind_in_words(each.kind), when_in_words(each));
  }
  return text;
}

std::string questions_text() {
  std::string text, section;
  for (const Question& each : wizard_questions()) {
    if (section != each.section) text += fmt::format("{}{}\n", text.empty() ? "" : "\n", each.section);
    section = each.section;
    text += fmt::format("  {:<28} {} [{}; asked: {}]\n", each.id, each.prompt, kind_in_words(each.kind),
                        when_in_words(each));
  }
  return text;
}

}  // namespace ferula
