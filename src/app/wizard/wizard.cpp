#include "app/wizard/wizard.hpp"

#include <algorithm>

namespace ferula {

bool Wizard::is_asked(const Question& question, const WizardView& view) const {
  if (question.matters != nullptr && !question.matters(view)) return false;
  if (question.asked == Asked::common || asks_all_ || answers_.contains(question.id)) return true;
  return question.urgent != nullptr && question.urgent(view);
}

void Wizard::walk(std::size_t first) {
  const std::span<const Question> all = wizard_questions();
  std::span<const Question> rows = all;
  if (first < steps_.size()) rows = all.subspan(static_cast<std::size_t>(steps_[first].question - all.data()));
  end_ = first < views_.size() ? views_[first] : WizardView(*facts_);
  steps_.resize(std::min(first, steps_.size()));
  views_.erase(views_.begin() + std::ssize(steps_), views_.end());
  for (const Question& question : rows) {
    if (!is_asked(question, end_)) continue;
    WizardStep step{.question = &question};
    if (const auto given = answers_.find(question.id); given != answers_.end()) {
      const ReadAnswer read = read_answer(question, end_, given->second);
      step.is_given = read.problem.empty();
      if (step.is_given) {
        step.answer = read.value;
      } else {
        refused_.push_back(fmt::format("{} = {}: {}", given->first, given->second, read.problem));
        answers_.erase(given);
      }
    }
    if (!step.is_given) step.answer = usual_answer(question, end_);
    views_.push_back(end_);
    if (step.answer) end_.add(question, *step.answer);
    steps_.push_back(std::move(step));
  }
}

const Question* Wizard::question() const { return at_ < steps_.size() ? steps_[at_].question : nullptr; }

void Wizard::to_next_open() {
  const auto open = std::find_if(steps_.begin(), steps_.end(), [](const WizardStep& step) { return !step.is_given; });
  at_ = static_cast<std::size_t>(open - steps_.begin());
}

std::string Wizard::answer(std::string_view typed) {
  const WizardStep& step = steps_.at(at_);
  const bool is_empty = typed.find_first_not_of(" \t\r\n") == std::string_view::npos;
  if (is_empty && !step.answer) return "This question has no usual answer here. Please enter one.";
  const ReadAnswer read =
      is_empty ? ReadAnswer{*step.answer} : read_answer(*step.question, views_.at(at_), std::string(typed));
  if (!read.problem.empty()) return read.problem;
  answers_.insert_or_assign(std::string(step.question->id), read.value);
  walk(at_);
  to_next_open();
  return "";
}

bool Wizard::back() {
  if (at_ == 0) return false;
  --at_;
  return true;
}

bool Wizard::go_to(std::size_t place) {
  if (place < 1 || place > steps_.size()) return false;
  at_ = place - 1;
  return true;
}

void Wizard::ask_all() {
  asks_all_ = true;
  walk();
  to_next_open();
}

std::vector<std::string> Wizard::take(const Answers& answers) {
  answers_ = answers;
  refused_.clear();
  walk();
  to_next_open();
  return refused_;
}

std::vector<std::string> Wizard::unused() const {
  std::vector<std::string> names;
  for (const auto& [id, answer] : answers_) {
    const auto is_it = [&id = id](const WizardStep& step) { return step.question->id == id; };
    if (std::none_of(steps_.begin(), steps_.end(), is_it)) names.push_back(id);
  }
  return names;
}

const Question* Wizard::take_usual() {
  while (const Question* open = question()) {
    if (!steps_[at_].answer) return open;
    answer("");
  }
  return nullptr;
}

Answers Wizard::given() const {
  Answers given;
  for (const WizardStep& step : steps_)
    if (step.is_given) given.emplace(step.question->id, *step.answer);
  return given;
}

}  // namespace ferula
