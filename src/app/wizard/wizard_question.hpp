// One row of the wizard's table of questions, and what a row may look at. Nothing here knows a terminal.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/wizard/wizard_memory.hpp"
#include "cluster/job_request.hpp"

namespace ferula {

class WizardView;

enum class AnswerKind : unsigned char { yes_no, integer, number, choice, text, list };

/// The answer to `model` that keeps what the earlier file says.
inline constexpr std::string_view kModelAsItIs = "as it is";

/// A word that may be answered.
struct Choice {
  std::string value;
  std::string help = "";
};

/// When a question is asked. `common`: wherever it matters. `rare`: only where the user wants all of them, or has
/// answered it in a file.
enum class Asked : unsigned char { common, rare };

/// A row of the table: dialog, help, `--answers`, documentation and tests all read it.
struct Question {
  std::string_view id;       // its name in a file of answers: "zero_stage"
  std::string_view section;  // "The job"
  std::string_view prompt;   // in the words of `accelerate config` where it has the question
  std::string_view help;     // what `?` shows
  AnswerKind kind = AnswerKind::text;
  Asked asked = Asked::common;
  /// The setting that the answer is; its limits are checked and its help is shown. Empty: see `sets`.
  std::string_view key = "";
  /// Whether the answers before it make it matter; none: always.
  bool (*matters)(const WizardView&) = nullptr;
  std::string_view when = "";  // `matters` in words, for the documentation
  /// Of a rare one: whether the answers before it make it urgent, so that everybody is asked.
  bool (*urgent)(const WizardView&) = nullptr;
  std::string_view urgent_when = "";  // `urgent` in words
  /// The words of a choice, where they are not all those of the setting; of a list: what was found, of which the number
  /// may be typed.
  std::vector<Choice> (*choices)(const WizardView&) = nullptr;
  /// What an empty answer means; none: the setting's value so far.
  std::string (*usual)(const WizardView&) = nullptr;
  /// Why a well-formed answer will not do; empty: it will.
  std::string (*objection)(const WizardView&, const std::string& answer) = nullptr;
  /// What the answer sets, as for `--set`; where there is no `key`. The answer itself is in the view.
  std::vector<std::string> (*sets)(const WizardView&) = nullptr;
};

/// All questions, in the order in which they are asked.
std::span<const Question> wizard_questions();
/// Null for a name that no question has.
const Question* question_named(std::string_view id);

/// The facts and the answers so far, and what follows from them.
class WizardView {
 public:
  /// `facts` must outlive the view.
  explicit WizardView(const WizardFacts& facts) : facts_(&facts) {}

  const WizardFacts& facts() const { return *facts_; }
  /// Empty where it has not been asked.
  std::string answer(std::string_view id) const;
  bool is(std::string_view id, std::string_view value) const { return answer(id) == value; }
  std::int64_t number(std::string_view id, std::int64_t otherwise) const;

  /// GPUs, or processes without GPUs, of the whole job.
  int ranks() const;
  int machines() const;
  bool on_gpus() const;
  bool in_slurm() const;
  /// The partition of SLURM that was chosen; null outside of SLURM, or where it is unknown.
  const Partition* partition() const;
  /// The profile of its cluster; null where none is known.
  const ClusterProfile* profile() const;
  /// What the job asks SLURM for.
  JobRequest job() const { return job_request(config(), profile()); }
  /// GPUs, and processors, of a machine of the job; 0 where nobody knows.
  int gpus_a_machine() const;
  int processors_a_machine() const;
  MemoryRoom room() const;
  /// The model folder that was chosen; null where it was another model.
  const ModelFolder* model_folder() const;
  /// A configuration of which only tokenizer and vocabulary count: those that the answers bring with them.
  Config tokens() const;

  /// The values so far; "auto" stays.
  const Config& config() const;
  /// The same resolved, as `config check` does and, in SLURM, `submit`. Throws ConfigMistakes.
  Config resolved() const;
  /// The file: a comment for each key.
  std::string toml() const;
  /// What each rank will hold; computed once.
  const MemoryOutlook& memory() const;

  /// Takes the answer to a further question, in its normal form.
  void add(const Question& question, const std::string& answer);
  /// The first mistake of the configuration that `answer` would make; empty where it makes none.
  std::string mistake_of(const Question& question, const std::string& answer) const;

 private:
  ResolveFacts resolve_facts() const;
  ConfigPreset base() const;
  void set(const std::string& assignment);

  const WizardFacts* facts_;
  std::map<std::string, std::string, std::less<>> answers_;
  std::map<std::string, std::string, std::less<>> sets_;  // by key: a later answer wins
  mutable std::optional<Config> config_;
  /// What `mistake_of` has found to be legal: `add` need not work it out again.
  struct Trial {
    std::string_view id;
    std::string answer;
    Config config;
  };
  mutable std::optional<Trial> trial_;
  mutable std::optional<MemoryOutlook> memory_;
};

/// What may be chosen here; empty for other kinds.
std::vector<Choice> choices_of(const Question& question, const WizardView& view);

/// The answer in its normal form: "yes", "3", a choice by its value. `problem`: why it is none, as a sentence that asks
/// again; then `value` is empty.
struct ReadAnswer {
  std::string value;
  std::string problem = "";
};

/// Reads what was typed, or stands in a file; checks its form, its limits and what it does to the configuration.
ReadAnswer read_answer(const Question& question, const WizardView& view, const std::string& typed);

/// What an empty answer means, in its normal form; nothing where the usual answer is not legal here.
std::optional<std::string> usual_answer(const Question& question, const WizardView& view);

}  // namespace ferula
