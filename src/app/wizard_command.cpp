#include "app/wizard_command.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "app/jobs/job_plan.hpp"
#include "app/wizard/wizard_answers.hpp"
#include "app/wizard/wizard_dialog.hpp"
#include "app/wizard/wizard_save.hpp"
#include "base/output.hpp"
#include "cluster/run_program.hpp"
#include "config/load_config.hpp"
#include "config/toml_guard.hpp"

namespace ferula {
namespace {

constexpr OptionSpec kOut{"out", "FILE", "The wizard: where to write, default train.toml; its values are kept."};
constexpr OptionSpec kAnswers{"answers", "FILE", "The wizard: takes answers from FILE and asks the rest."};
constexpr OptionSpec kYes{"yes", "", "The wizard: takes the usual answer of every question that is left."};
constexpr OptionSpec kPrint{"print", "", "The wizard: prints the configuration, writes no file."};
constexpr OptionSpec kOverwrite{"overwrite", "", "The wizard: replaces FILE, and keeps the old one as FILE.bak."};

constexpr std::string_view kAnswersAdvice =
    "a file of answers has lines like `num_gpus = 4`; `ferula config questions` lists the names";

WizardOutput output_of(const CommandLine& line) {
  if (line.has(kPrint.name)) return WizardOutput::print;
  return line.has(kOverwrite.name) ? WizardOutput::replace : WizardOutput::ask_before_replacing;
}

std::string path_of(const CommandLine& line) {
  std::string path = line.text(kOut.name).value_or("train.toml");
  const bool is_printable = std::none_of(path.begin(), path.end(), [](unsigned char c) { return std::iscntrl(c); });
  if (path.empty() || !is_printable || first_invalid_utf8(path))
    throw ConfigError("--out: expected the name of a file in UTF-8, without line breaks and control characters");
  return path;
}

/// Refused before anybody has answered anything.
void check_place(FileSystem& files, const std::string& path, WizardOutput output, bool asks) {
  if (output == WizardOutput::print) return;
  if (files.is_directory(path)) throw ConfigError(fmt::format("--out: expected a file, but '{}' is a folder", path));
  const std::string folder = parent_of(path);
  if (!files.is_directory(folder))
    throw ConfigError(fmt::format("--out: expected a folder '{}', found none; make it with mkdir", folder));
  if (access(folder.c_str(), W_OK) != 0)
    throw ConfigError(fmt::format("--out: expected a folder that can be written, but '{}' cannot", folder));
  if (!asks && output == WizardOutput::ask_before_replacing && files.exists(path))
    throw ConfigError(
        fmt::format("Configuration already exists at {}, will not override. Give another file with --out, or "
                    "--overwrite, which keeps the old one as {}.bak",
                    path, path));
}

/// The answers of --answers, else on a terminal those that an earlier conversation has kept.
Answers answers_for(const CommandLine& line, FileSystem& files, const std::string& path, bool asks,
                    std::string& kept_at) {
  if (const auto file = line.text(kAnswers.name)) return answers_in(read_config_text(*file, kAnswersAdvice), *file);
  const std::string kept = kept_answers_path(path);
  if (!asks || !files.exists(kept) || files.is_directory(kept)) return {};
  const std::string text = read_file(files, kept, kMostConfigBytes);
  if (!is_kept_by_wizard(text)) return {};
  kept_at = kept;
  return answers_in(text, kept);
}

std::string unused_in_words(const std::vector<std::string>& unused) {
  if (unused.empty()) return "";
  return fmt::format("not used, because other answers make them idle: {}\n", fmt::join(unused, ", "));
}

/// --yes and --answers without a conversation.
ExitCode write_without_asking(Wizard& wizard, FileSystem& files, const std::string& path, WizardOutput output) {
  for (const std::string& note : wizard.view().facts().notes) fmt::print(stderr, "{}\n", note);
  if (output == WizardOutput::print) return print_output("{}", wizard.outcome().toml()), ExitCode::done;
  for (const std::string& name : missing_texts(files, wizard.outcome().config().data))
    print_output("no file here matches '{}' yet\n", name);
  print_output("{}\n", in_words(wizard.outcome().memory(), std::nullopt));
  const std::string old = save_configuration(files, path, wizard.outcome().toml(),
                                             output == WizardOutput::replace ? Replace::existing : Replace::never);
  print_output("ferula configuration saved at {}\n", path);
  if (!old.empty()) print_output("the earlier one is {}\n", old);
  print_output("{}", next_commands(wizard.outcome(), path));
  return ExitCode::done;
}

}  // namespace

std::vector<OptionSpec> wizard_options() { return {kOut, kAnswers, kYes, kPrint, kOverwrite}; }

ExitCode run_wizard(const CommandLine& line) {
  const WizardOutput output = output_of(line);
  const std::string path = path_of(line);
  const bool asks = isatty(STDIN_FILENO) == 1 && !line.has(kYes.name);
  if (!asks && !line.has(kYes.name) && !line.has(kAnswers.name))
    throw ConfigError(
        "expected a terminal to ask on, found none; give --answers FILE with the answers, --yes for the usual ones, or "
        "both (`ferula config questions` lists what may be answered), or use `ferula config new FILE`");
  std::unique_ptr<WizardTerminal> terminal = asks ? make_wizard_terminal(output == WizardOutput::print) : nullptr;
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  check_place(*files, path, output, asks);
  std::string kept_at;
  const Answers answers = answers_for(line, *files, path, asks, kept_at);
  const WizardFacts facts = discover(path, *files);
  Wizard wizard(facts);
  const std::vector<std::string> problems = wizard.take(answers);
  if (!problems.empty() && kept_at.empty())
    throw ConfigError(fmt::format("answers that cannot be taken:\n  {}", fmt::join(problems, "\n  ")));
  const std::string unused = unused_in_words(wizard.unused());
  if (!asks) {
    if (!unused.empty() && output != WizardOutput::print) print_output("{}", unused);
    const Question* open = line.has(kYes.name) ? wizard.take_usual() : wizard.question();
    if (open != nullptr)
      throw ConfigError(
          fmt::format("expected an answer to '{}' ({}); add it to the file, or give --yes for the usual "
                      "answers",
                      open->id, open->prompt));
    return write_without_asking(wizard, *files, path, output);
  }
  if (!kept_at.empty()) terminal->show(fmt::format("going on with the answers in {}\n", kept_at));
  terminal->show(unused);
  for (const std::string& problem : problems) terminal->show(fmt::format("forgotten: {}\n", problem));
  WizardDialog dialog(wizard, *terminal, *files, path, output);
  const ExitCode code = dialog.run();
  if (code == ExitCode::done && !kept_at.empty()) files->remove(kept_at);
  if (dialog.then() == AfterWriting::nothing) return code;
  terminal.reset();  // its signals belong to the next program
  std::vector<std::string> submit{this_program(), "submit", dialog.path()};
  if (dialog.then() == AfterWriting::show_script) submit.emplace_back("--dry-run");
  become_program(submit, "the configuration is written; submit it with `ferula submit`");
}

}  // namespace ferula
