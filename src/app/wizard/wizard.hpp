// The wizard without a terminal: which question is next, what is answered, where `back` leads, what comes out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/wizard/wizard_question.hpp"

namespace ferula {

/// Answers by the names of their questions.
using Answers = std::map<std::string, std::string, std::less<>>;

/// A question on the way through the table, with what counts as its answer.
struct WizardStep {
  const Question* question = nullptr;
  std::optional<std::string> answer{};  // given, else usual; absent where it must be given
  bool is_given = false;
};

/// Walks the table. At any time the answers so far, with the usual ones for the rest, make a legal configuration: an
/// answer that would not is refused, and one that an earlier answer has made illegal is forgotten and asked again.
class Wizard {
 public:
  /// `facts` must outlive the wizard.
  explicit Wizard(const WizardFacts& facts) : facts_(&facts), end_(facts) { walk(); }

  /// The question to ask now; null when all are answered.
  const Question* question() const;
  /// What the current question may look at; after the last one everything.
  const WizardView& view() const { return question() == nullptr ? end_ : views_.at(at_); }
  /// What an empty answer to the current question means.
  std::optional<std::string> usual() const { return steps_.at(at_).answer; }
  /// The number of the current question on its way, from 1 on.
  std::size_t place() const { return at_ + 1; }
  /// Every question on the way, with the usual answers for those to come.
  const std::vector<WizardStep>& steps() const { return steps_; }

  /// Answers the current question; empty text takes the usual answer. Returns why not, or nothing.
  std::string answer(std::string_view typed);
  /// To the question before; false at the first one.
  bool back();
  /// To the question with this number from 1 on; false where there is none.
  bool go_to(std::size_t place);
  /// From now on the rare questions are asked, too.
  void ask_all();
  /// Takes the answers of a file. Returns a sentence for each that is no legal answer, and takes the others.
  std::vector<std::string> take(const Answers& answers);
  /// Those whose questions do not matter here.
  std::vector<std::string> unused() const;
  /// Takes the usual answer of everything that is left. Returns the question that has none, or null.
  const Question* take_usual();

  /// Given answers of questions that are on the way.
  Answers given() const;
  /// The view behind the last question, with usual answers where none are given.
  const WizardView& outcome() const { return end_; }

 private:
  bool is_asked(const Question& question, const WizardView& view) const;
  /// Anew from step `first` on; those before it do not depend on it.
  void walk(std::size_t first = 0);
  void to_next_open();

  const WizardFacts* facts_;
  Answers answers_;
  bool asks_all_ = false;
  std::vector<WizardStep> steps_;
  std::vector<WizardView> views_;  // before each step
  WizardView end_;
  std::size_t at_ = 0;
  std::vector<std::string> refused_;  // answers that have been forgotten, and why
};

}  // namespace ferula
