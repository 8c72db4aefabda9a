#include "app/wizard/wizard_save.hpp"

#include <algorithm>
#include <filesystem>

#include "app/plan/gpu_cards.hpp"
#include "app/wizard/wizard_answers.hpp"
#include "base/human.hpp"
#include "cluster/batch_script.hpp"
#include "cluster/words.hpp"
#include "config/toml_guard.hpp"

namespace ferula {
namespace {

std::string first_free(FileSystem& files, const std::string& path) {
  std::string name = path;
  for (int number = 2; files.exists(name); ++number) name = fmt::format("{}.{}", path, number);
  return name;
}

/// What SLURM is asked with, the job that trains to its end first.
std::string slurm_commands(const WizardView& view, const std::string& path) {
  const std::string wait = view.memory().fits() ? "" : "   (refused until the memory suffices)";
  const std::string place = view.facts().slurm_answers ? "" : "   (on the cluster)";
  return fmt::format(
      "  submit it      ferula submit {0}{1}{2}\n"
      "  its script     ferula submit {0} --dry-run\n"
      "  or at once     {3}\n"
      "  a shell there  ferula submit {0} --interactive\n",
      shell_word(path), place, wait, command_text(step_words(view.job(), {"ferula", "train", path})));
}

/// For `ferula plan`: by name where it knows the card.
std::string card_option(const MemoryRoom& room) {
  const std::span<const GpuCardType> known = known_cards();
  if (std::any_of(known.begin(), known.end(), [&](const GpuCardType& card) { return card.name == room.place; }))
    return " --card " + shell_word(room.place);
  return room.card_gib > 0.0 ? fmt::format(" --card {:.4g}", room.card_gib) : "";
}

std::string run_command(const WizardView& view, const std::string& file) {
  const std::string train = fmt::format("ferula train {}", file);
  if (view.is("compute_environment", "ssh") && view.machines() > 1) {
    const std::string hosts = view.answer("hostfile");
    return fmt::format("  run it         mpirun -n {} --hostfile {} {}\n", view.ranks(),
                       hosts.starts_with("~/") ? hosts : shell_word(hosts), train);
  }
  return fmt::format("  run it         {}{}\n", train,
                     view.ranks() == 1 ? "" : fmt::format(" --ranks {}", view.ranks()));
}

}  // namespace

std::string save_configuration(FileSystem& files, const std::string& path, const std::string& toml, Replace replace) {
  std::string kept;
  if (replace == Replace::existing && files.exists(path)) {
    kept = first_free(files, path + ".bak");
    write_file_atomically(files, kept, read_file(files, path, kMostConfigBytes), Replace::never);
  }
  write_file_atomically(files, path, toml, replace);
  return kept;
}

std::string kept_answers_path(const std::string& path) {
  const std::string stem = path.ends_with(".toml") ? path.substr(0, path.size() - 5) : path;
  return stem + ".answers.toml";
}

std::string keep_answers(FileSystem& files, const std::string& path, const Answers& answers) {
  std::string name = kept_answers_path(path);
  const bool is_ours =
      files.exists(name) && !files.is_directory(name) && is_kept_by_wizard(read_file(files, name, kMostConfigBytes));
  if (!is_ours) name = first_free(files, name);
  write_file_atomically(files, name, answers_toml(answers), is_ours ? Replace::existing : Replace::never);
  return name;
}

std::string next_commands(const WizardView& view, const std::string& path) {
  const std::string file = shell_word(path);
  const std::string ranks = view.ranks() == 1 ? "" : fmt::format(" --ranks {}", view.ranks());
  const std::string card = view.on_gpus() ? card_option(view.room()) : "";
  return fmt::format(
      "{4}"
      "  look at it     ferula config show {0}{1}\n"
      "  change it      ferula config --out {0}, or an editor and then: ferula config check {0}{1}\n"
      "  will it fit?   ferula plan {0}{1}{2}\n{3}",
      file, ranks, card, view.in_slurm() ? "" : run_command(view, file),
      view.in_slurm() ? slurm_commands(view, path) : "");
}

}  // namespace ferula
