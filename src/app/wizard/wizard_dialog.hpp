// The wizard's conversation: shows a question, reads a line, says what the answer does, reviews, writes.
#pragma once

#include "app/wizard/wizard.hpp"
#include "app/wizard/wizard_terminal.hpp"

namespace ferula {

/// What happens at the end. `print`: the configuration goes to standard output, and no file is written.
enum class WizardOutput : unsigned char { ask_before_replacing, replace, print };

/// What the user wants of the configuration that is written.
enum class AfterWriting : unsigned char { nothing, submit, show_script };

class WizardDialog {
 public:
  /// References must outlive the dialog.
  WizardDialog(Wizard& wizard, WizardTerminal& terminal, FileSystem& files, std::string path, WizardOutput output)
      : wizard_(wizard), terminal_(terminal), files_(files), path_(std::move(path)), output_(output) {}

  /// Asks until the configuration is written (done), the user ends (resume_me: answers are kept), or a signal comes
  /// (interrupted or resume_me, answers kept). Throws ConfigError where the input ends; answers are kept then, too.
  ExitCode run();
  /// Asked where the job is for SLURM, SLURM answers, and the memory suffices.
  AfterWriting then() const { return then_; }
  /// Where the configuration went: the user may have chosen another place.
  const std::string& path() const { return path_; }

 private:
  /// Thrown where the conversation ends early, and caught in `run`.
  struct EarlyEnd {
    TypedLine::Kind why;
  };

  std::string read();
  void ask(const Question& question);
  void explain(const Question& question);
  void say_memory();
  void warn_of_missing_texts();
  /// True once the configuration is out.
  bool review();
  void show_review();
  bool write();
  bool may_replace();
  /// After writing: nobody's answers are lost any more, so an end of the input means no.
  ExitCode offer_to_submit();
  ExitCode end_early(TypedLine::Kind why);
  void line(std::string_view text, int indent = 4);

  Wizard& wizard_;
  WizardTerminal& terminal_;
  FileSystem& files_;
  std::string path_;
  WizardOutput output_;
  std::optional<std::int64_t> bytes_before_;
  AfterWriting then_ = AfterWriting::nothing;
};

/// What was found, for the beginning of the conversation: a line each.
std::vector<std::string> findings_in_words(const WizardFacts& facts);
/// The texts of a configuration that are not there (yet).
std::vector<std::string> missing_texts(FileSystem& files, const DataConfig& data);

}  // namespace ferula
