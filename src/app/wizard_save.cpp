#include "app/wizard_save.hpp"

#include <filesystem>

#include "app/wizard_answers.hpp"
#include "base/human.hpp"
#include "config/toml_guard.hpp"

namespace ferula {
namespace {

std::string first_free(FileSystem& files, const std::string& path) {
  std::string name = path;
  for (int number = 2; files.exists(name); ++number) name = fmt::format("{}.{}", path, number);
  return name;
}

/// "srun --partition=defq --nodes=2 …": how SLURM is asked for what the answers say.
std::string slurm_request(const WizardView& view) {
  std::string words;
  if (view.partition() != nullptr) words += " --partition=" + shell_word(view.partition()->name);
  const int each = view.ranks() / view.machines();
  words += fmt::format(" --nodes={} --ntasks={}", view.machines(), view.ranks());
  if (view.on_gpus()) words += fmt::format(" --gres=gpu:{}", each);
  return words;
}

std::string run_command(const WizardView& view, const std::string& file) {
  const std::string train = fmt::format("ferula train {}", file);
  if (view.answer("compute_environment").starts_with("slurm"))
    return fmt::format(
        "  run it         srun{0} --mpi=pmix {1}\n  or as a job    sbatch{0} --wrap='srun --mpi=pmix {1}'\n",
        slurm_request(view), train);
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
  std::string card;
  if (view.on_gpus() && view.room().card_gib > 0.0) card = fmt::format(" --card {:.4g}", view.room().card_gib);
  return fmt::format(
      "  look at it     ferula config show {0}{1}\n"
      "  change it      ferula config --out {0}, or an editor and then: ferula config check {0}{1}\n"
      "  will it fit?   ferula plan {0}{1}{2}\n{3}",
      file, ranks, card, run_command(view, file));
}

}  // namespace ferula
