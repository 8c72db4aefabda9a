#include "app/wizard/wizard_dialog.hpp"

#include <algorithm>
#include <charconv>

#include "app/wizard/wizard_answers.hpp"
#include "app/wizard/wizard_save.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "config/config_text.hpp"
#include "data/glob.hpp"

namespace ferula {
namespace {

constexpr std::string_view kBack = "<", kHelp = "?", kQuit = "q";

/// "[yes/NO]", "[2]"; nothing where an answer is needed.
std::string usual_in_words(const Question& question, const std::optional<std::string>& usual) {
  if (!usual) return "";
  if (question.kind == AnswerKind::yes_no) return *usual == "yes" ? " [YES/no]" : " [yes/NO]";
  if (question.kind != AnswerKind::list) return fmt::format(" [{}]", *usual);
  std::string names = usual->substr(1, usual->size() - 2);
  std::erase(names, '"');
  return fmt::format(" [{}]", names);
}

/// An answer that looks like a command is typed in quotes.
std::string without_quotes(const std::string& typed) {
  for (const std::string_view command : {kBack, kHelp, kQuit})
    if (typed == fmt::format("\"{}\"", command)) return std::string(command);
  return typed;
}

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

ExitCode WizardDialog::run() {
  line(fmt::format("This writes {}. Enter takes the answer in brackets, ? explains, < goes back, q keeps the answers "
                   "for later.",
                   path_),
       0);
  for (const std::string& finding : findings_in_words(wizard_.view().facts())) line(finding, 2);
  try {
    while (true) {
      if (const Question* question = wizard_.question())
        ask(*question);
      else if (review())
        return offer_to_submit();
    }
  } catch (const EarlyEnd& end) {
    return end_early(end.why);
  }
}

std::string WizardDialog::read() {
  TypedLine typed = terminal_.read_line();
  if (typed.kind != TypedLine::Kind::text) throw EarlyEnd{typed.kind};
  std::string text = trimmed(typed.text);
  if (text == kQuit) throw EarlyEnd{TypedLine::Kind::text};
  return text;
}

void WizardDialog::line(std::string_view text, int indent) {
  terminal_.show(wrapped(text, terminal_.width(), indent) + "\n");
}

void WizardDialog::ask(const Question& question) {
  terminal_.show("\n");
  line(fmt::format("[{}] {}", wizard_.place(), question.prompt));
  std::size_t number = 0;
  for (const Choice& choice : choices_of(question, wizard_.view())) {
    const bool is_number = choice.value.find_first_not_of("0123456789") == std::string::npos;
    const std::string head = is_number ? choice.value : fmt::format("{}) {}", ++number, choice.value);
    line(fmt::format("    {}{}{}", head, choice.help.empty() ? "" : ": ", choice.help), 7);
  }
  terminal_.show(fmt::format("   {}: ", usual_in_words(question, wizard_.usual())));
  const std::string typed = read();
  if (typed == kHelp) return explain(question);
  if (typed == kBack) {
    if (!wizard_.back()) line("    This is the first question.");
    return;
  }
  if (const std::string why = wizard_.answer(without_quotes(typed)); !why.empty()) return line("    " + why);
  if (question.id == "text") warn_of_missing_texts();
  say_memory();
}

void WizardDialog::explain(const Question& question) {
  line(fmt::format("    {}", question.help));
  Config any;
  for (const Setting& setting : settings_of(any))
    if (setting.key == question.key)
      line(fmt::format("    {}: {} `ferula config keys {}` says more.", setting.key, setting.help, setting.key));
}

void WizardDialog::say_memory() {
  const MemoryOutlook& outlook = wizard_.outcome().memory();
  line("    " + in_words(outlook, bytes_before_));
  bytes_before_ = outlook.own.bytes();
}

void WizardDialog::warn_of_missing_texts() {
  for (const std::string& name : missing_texts(files_, wizard_.outcome().config().data))
    line(fmt::format("    No file here matches '{}' yet.", name));
}

void WizardDialog::show_review() {
  terminal_.show("\n");
  line("Your answers:", 0);
  std::size_t number = 0;
  for (const WizardStep& step : wizard_.steps())
    line(fmt::format("  {:>2}  {:<27} {}", ++number, step.question->id, *step.answer), 6);
  const WizardFacts& facts = wizard_.outcome().facts();
  const Config defaults;
  const Config& before = facts.earlier_config ? *facts.earlier_config : defaults;
  terminal_.show("\n");
  line(facts.earlier_config ? fmt::format("What changes in {}:", facts.path)
                            : fmt::format("What {} says, where it differs from the defaults:", facts.path),
       0);
  for (const ConfigDifference& each : config_differences(before, wizard_.outcome().config()))
    line(fmt::format("  {} = {} (was {})", each.key, each.after, each.before), 6);
  line(in_words(wizard_.outcome().memory(), std::nullopt), 0);
}

bool WizardDialog::review() {
  show_review();
  while (true) {
    const std::string what = output_ == WizardOutput::print ? "Print it" : fmt::format("Write {}", path_);
    terminal_.show("\n");
    line(fmt::format("{}? (yes, no: keep the answers, all: ask the rarer questions, too, a number: change that answer, "
                     "<: back)",
                     what),
         0);
    terminal_.show("    [YES]: ");
    const std::string typed = read();
    if (typed == kBack) return wizard_.go_to(wizard_.steps().size()), false;
    if (typed == "all") return wizard_.ask_all(), false;
    if (typed == "no" || typed == "n") throw EarlyEnd{TypedLine::Kind::text};
    if (typed.empty() || typed == "yes" || typed == "y") return write();
    std::size_t place = 0;
    const auto parsed = std::from_chars(typed.data(), typed.data() + typed.size(), place);
    if (parsed.ec == std::errc() && parsed.ptr == typed.data() + typed.size() && wizard_.go_to(place)) return false;
    line(fmt::format("    Please enter yes, no, all, < or a number from 1 to {}.", wizard_.steps().size()));
  }
}

bool WizardDialog::may_replace() {
  while (true) {
    line(fmt::format("Configuration already exists at {}. Replace it? The old one is kept as {}.bak.", path_, path_),
         0);
    terminal_.show("    [yes/NO]: ");
    const std::string typed = read();
    if (typed == "yes" || typed == "y") return true;
    if (typed.empty() || typed == "no" || typed == "n" || typed == kBack) return false;
    line("    Please enter yes or no.");
  }
}

/// False where the user wants another path or the questions again; a path that cannot be written asks for another.
bool WizardDialog::write() {
  if (output_ == WizardOutput::print) return write_output(wizard_.outcome().toml()), true;
  while (true) {
    try {
      Replace replace = output_ == WizardOutput::replace ? Replace::existing : Replace::never;
      const bool asks = files_.exists(path_) && replace == Replace::never;
      if (!asks || may_replace()) {
        if (asks) replace = Replace::existing;
        const std::string old = save_configuration(files_, path_, wizard_.outcome().toml(), replace);
        terminal_.show(fmt::format("\nferula configuration saved at {}\n", path_));
        if (!old.empty()) terminal_.show(fmt::format("the earlier one is {}\n", old));
        terminal_.show(next_commands(wizard_.outcome(), path_));
        return true;
      }
    } catch (const Error& error) {
      line(fmt::format("    {}", error.what()));
    }
    line("Where should it go instead? (< goes back to the review)", 0);
    terminal_.show("    : ");
    const std::string typed = read();
    if (typed == kBack) return false;
    if (!typed.empty()) path_ = typed;
  }
}

ExitCode WizardDialog::offer_to_submit() {
  const WizardView& view = wizard_.outcome();
  const bool is_possible = view.in_slurm() && view.facts().slurm_answers && view.memory().fits();
  if (output_ == WizardOutput::print || !is_possible) return ExitCode::done;
  while (true) {
    terminal_.show("\n");
    line(fmt::format("Submit it now, with ferula submit {}? (yes, no, dry: show the script and submit nothing)",
                     shell_word(path_)),
         0);
    terminal_.show("    [yes/NO/dry]: ");
    const TypedLine typed = terminal_.read_line();
    if (typed.kind == TypedLine::Kind::interrupted) return ExitCode::interrupted;
    const std::string word = typed.kind == TypedLine::Kind::text ? trimmed(typed.text) : "";
    if (word == "yes" || word == "y") then_ = AfterWriting::submit;
    if (word == "dry" || word == "d") then_ = AfterWriting::show_script;
    const bool is_no = word.empty() || word == "no" || word == "n" || word == kQuit || word == kBack;
    if (is_no || then_ != AfterWriting::nothing) return ExitCode::done;
    line("    Please enter yes, no or dry.");
  }
}

ExitCode WizardDialog::end_early(TypedLine::Kind why) {
  const std::size_t place = wizard_.place();
  const Answers given = wizard_.given();
  std::string kept = "there was no answer to keep";
  try {
    if (!given.empty())
      kept = fmt::format("the answers so far are kept in {}; `ferula config --out {}` goes on with them",
                         keep_answers(files_, path_, given), path_);
  } catch (const Error& error) {
    kept = fmt::format("the answers could not be kept ({}); these they were:\n{}", error.what(), answers_toml(given));
  }
  if (why == TypedLine::Kind::end) throw ConfigError(fmt::format("input ended at question {}; {}", place, kept));
  try {
    terminal_.show(fmt::format("\n{}\n", kept));
  } catch (const Error&) {  // after a hang-up nobody reads it
  }
  return why == TypedLine::Kind::interrupted ? ExitCode::interrupted : ExitCode::resume_me;
}

std::vector<std::string> findings_in_words(const WizardFacts& facts) {
  std::vector<std::string> lines;
  const auto list = [&](std::string_view what, const std::vector<std::string>& names) {
    if (!names.empty()) lines.push_back(fmt::format("found {}: {}", what, fmt::join(names, ", ")));
  };
  std::vector<std::string> gpus, partitions, models;
  for (const GpuInfo& gpu : facts.gpus) gpus.push_back(gpu.name);
  for (const Partition& each : facts.partitions)
    if (!each.is_elsewhere) partitions.push_back(each.name);
  for (const ModelFolder& each : facts.models) models.push_back(each.path);
  list("GPUs", gpus);
  list("partitions of SLURM", partitions);
  if (!partitions.empty())
    for (const KnownCluster& each : facts.clusters)
      lines.push_back(fmt::format("found the profile of the cluster: {}", each.word));
  list("models", models);
  list("texts", facts.texts);
  lines.insert(lines.end(), facts.notes.begin(), facts.notes.end());
  return lines;
}

std::vector<std::string> missing_texts(FileSystem& files, const DataConfig& data) {
  std::vector<std::string> names = data.text, missing;
  if (!data.tokens.empty()) names.push_back(data.tokens);
  std::copy_if(names.begin(), names.end(), std::back_inserter(missing), [&](const std::string& name) {
    try {
      return is_glob(name) ? expand_glob(name).empty() : !files.exists(name);
    } catch (const Error&) {
      return true;
    }
  });
  return missing;
}

}  // namespace ferula
