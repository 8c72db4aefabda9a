#include "app/command_documents.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "app/common_options.hpp"
#include "app/version.hpp"
#include "base/human.hpp"
#include "config/setting.hpp"
#include "storage/file_system.hpp"

namespace ferula {
namespace {

/// Text as roff shows it: backslashes, hyphens, and a dot or quote that begins a line.
std::string roff(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (escaped.empty() || escaped.back() == '\n')) escaped += "\\&";
    if (c == '\\')
      escaped += "\\e";
    else if (c == '-')
      escaped += "\\-";
    else
      escaped += c;
  }
  return escaped;
}

std::string title(const std::string& name, std::string_view summary) {
  std::string upper = name;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  while (summary.ends_with('.')) summary.remove_suffix(1);
  return fmt::format(".TH {} 1 \"\" \"Ferula {}\" \"Ferula\"\n.SH NAME\n{} \\- {}\n", roff(upper), version(),
                     roff(name), roff(summary));
}

/// Lines as they stand.
std::string verbatim(std::string_view text) { return fmt::format(".nf\n{}\n.fi\n", roff(text)); }

std::string exit_codes() {
  return ".SH EXIT STATUS\n"
         ".TP\n0\ndone\n.TP\n1\nfailed\n.TP\n2\nusage or configuration\n.TP\n3\ndoes not fit\n"
         ".TP\n75\nsaved; start again to go on\n.TP\n130\nstopped by Ctrl\\-C; saved\n";
}

/// "check", "show", … of "check|show" or "[check|show]"; none where it is no list of actions.
std::vector<std::string> listed_actions(std::string_view word) {
  if (word.starts_with('[') && word.ends_with(']')) word = word.substr(1, word.size() - 2);
  if (word.find_first_not_of("abcdefghijklmnopqrstuvwxyz|") != std::string_view::npos || word == "options") return {};
  std::vector<std::string> actions;
  for (std::size_t bar = 0; bar != std::string_view::npos; word.remove_prefix(std::min(bar + 1, word.size()))) {
    bar = word.find('|');
    actions.emplace_back(word.substr(0, bar));
    if (bar == std::string_view::npos) break;
  }
  return actions;
}

/// The actions of all usages, as of "ferula checkpoint list|show PATH, ferula checkpoint import DIR"; none where the
/// word behind the name is an argument.
std::vector<std::string> actions_of(const Command& command) {
  const std::string start = fmt::format("ferula {} ", command.name);
  std::vector<std::string> actions;
  std::string_view usage = command.usage;
  for (std::size_t at = usage.find(start); at != std::string_view::npos; at = usage.find(start)) {
    usage.remove_prefix(at + start.size());
    for (std::string& action : listed_actions(usage.substr(0, usage.find(' ')))) actions.push_back(std::move(action));
  }
  return actions;
}

std::vector<std::string> option_words(const Command& command) {
  std::vector<std::string> words;
  for (const OptionSpec& option : all_options(command)) words.push_back(fmt::format("--{}", option.name));
  return words;
}

std::vector<std::string> command_names(std::span<const Command> commands) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.emplace_back(command.name);
  return names;
}

std::vector<std::string> key_words() {
  Config any;
  std::vector<std::string> words;
  for (const Setting& setting : settings_of(any)) words.push_back(setting.key + "=");
  return words;
}

std::string bash_script(std::span<const Command> commands) {
  std::string cases;
  for (const Command& command : commands)
    cases += fmt::format("    {}) actions=\"{}\"; options=\"{}\" ;;\n", command.name,
                         fmt::join(actions_of(command), " "), fmt::join(option_words(command), " "));
  constexpr std::string_view kScript = R"(# bash completion of ferula
_ferula() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} actions="" options=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{} --help --version" -- "$word"))
    return
  fi
  case ${{COMP_WORDS[1]}} in
{}  esac
  if [ "$before" = --set ]; then
    compopt -o nospace
    COMPREPLY=($(compgen -W "{}" -- "$word"))
  elif [ "${{word:0:1}}" = - ]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  elif [ "$COMP_CWORD" -eq 2 ] && [ -n "$actions" ]; then
    COMPREPLY=($(compgen -W "$actions" -- "$word"))
  fi
}}
complete -o default -F _ferula ferula
)";
  return fmt::format(kScript, fmt::join(command_names(commands), " "), cases, fmt::join(key_words(), " "));
}

/// A file for fpath: the first press of the key reads it as a function and so must complete, too.
std::string zsh_script(std::span<const Command> commands) {
  std::string names, cases;
  for (const Command& command : commands) {
    names += fmt::format("    {}\n", shell_word(fmt::format("{}:{}", command.name, command.summary)));
    cases += fmt::format("    {}) actions=({}) options=({}) ;;\n", command.name, fmt::join(actions_of(command), " "),
                         fmt::join(option_words(command), " "));
  }
  constexpr std::string_view kScript = R"(#compdef ferula
_ferula() {{
  local -a commands actions options
  commands=(
{}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    compadd -- --help --version
    return
  fi
  case ${{words[2]}} in
{}  esac
  if [[ ${{words[CURRENT-1]}} == --set ]]; then
    compadd -S '' -- {}
  elif [[ ${{words[CURRENT]}} == -* ]]; then
    compadd -- $options
  elif (( CURRENT == 3 && ${{#actions}} )); then
    compadd -- $actions
  else
    _files
  fi
}}
_ferula "$@"
)";
  return fmt::format(kScript, names, cases, fmt::join(key_words(), " "));
}

/// In single quotes, which fish reads as they are but for quotes and backslashes.
std::string fish_text(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string fish_script(std::span<const Command> commands) {
  std::string text = fmt::format("# fish completion of ferula\nset -l keys '{}'\n", fmt::join(key_words(), " "));
  for (const Command& command : commands) {
    text += fmt::format("complete -c ferula -n __fish_use_subcommand -f -a {} -d {}\n", command.name,
                        fish_text(command.summary));
    const std::string within = fmt::format("-n '__fish_seen_subcommand_from {}'", command.name);
    const std::vector<std::string> actions = actions_of(command);
    if (!actions.empty())
      text +=
          fmt::format("complete -c ferula {} -a {}\n", within, fish_text(fmt::format("{}", fmt::join(actions, " "))));
    for (const OptionSpec& option : all_options(command))
      text +=
          fmt::format("complete -c ferula {} -l {}{}{} -d {}\n", within, option.name, option.value.empty() ? "" : " -r",
                      option.name == kSet.name ? " -f -a \"$keys\"" : "", fish_text(option.help));
  }
  return text;
}

}  // namespace

std::string man_page(const Command& command) {
  const std::string name = fmt::format("ferula-{}", command.name);
  std::string text = title(name, command.summary) + fmt::format(".SH SYNOPSIS\n{}\n", roff(command.usage)) +
                     ".SH DESCRIPTION\n" + verbatim(command.description) + ".SH OPTIONS\n";
  for (const OptionSpec& option : all_options(command))
    text += fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", roff(fmt::format("--{}", option.name)),
                        option.value.empty() ? "" : fmt::format(" \\fI{}\\fR", roff(option.value)), roff(option.help));
  text += exit_codes() + ".SH EXAMPLES\n" + verbatim(fmt::format("{}", fmt::join(command.examples, "\n")));
  return text + ".SH SEE ALSO\n.BR ferula (1)\n";
}

std::string man_page(std::span<const Command> commands) {
  std::string text = title("ferula", "trains and serves transformer language models on MPI ranks") +
                     ".SH SYNOPSIS\nferula COMMAND [CONFIG.toml] [\\-\\-set key=value]... [options]\n.SH COMMANDS\n";
  for (const Command& command : commands)
    text += fmt::format(".TP\n.BR ferula\\-{} (1)\n{}\n", command.name, roff(command.summary));
  return text + exit_codes();
}

void write_man_pages(std::span<const Command> commands, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const auto write = [&](const std::string& name, const std::string& text) {
    write_file_atomically(*files, (folder / (name + ".1")).string(), text, Replace::existing);
  };
  write("ferula", man_page(commands));
  for (const Command& command : commands) write(fmt::format("ferula-{}", command.name), man_page(command));
}

std::string completion_script(std::span<const Command> commands, std::string_view shell) {
  if (shell == "bash") return bash_script(commands);
  if (shell == "zsh") return zsh_script(commands);
  if (shell == "fish") return fish_script(commands);
  throw ConfigError(fmt::format("--completion: expected bash, zsh or fish, found '{}'", shell));
}

}  // namespace ferula
