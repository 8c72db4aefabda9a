#include "program.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

namespace ferula::system_tests {
namespace {

using namespace std::chrono_literals;

void redirect(const std::filesystem::path& path, int descriptor) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file >= 0) dup2(file, descriptor);
}

std::string content_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// Half a minute at the most: what follows then shows what is missing.
void await(const std::function<bool()>& ready) {
  for (int waited = 0; !ready() && waited < 600; ++waited) std::this_thread::sleep_for(50ms);
}

std::vector<pid_t> processes_in(const std::filesystem::path& folder) {
  std::vector<pid_t> processes;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    std::error_code gone;
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (std::filesystem::read_symlink(entry.path() / "cwd", gone) == folder) processes.push_back(std::stoi(name));
  }
  return processes;
}

std::vector<std::string> with_program(const std::vector<std::string>& words) {
  std::vector<std::string> all{FERULA_PROGRAM};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

}  // namespace

std::string Workplace::read(const std::string& name) const { return content_of(path_ / name); }

pid_t Workplace::start(const std::vector<std::string>& words) const {
  std::vector<std::string> owned = words;
  std::vector<char*> pointers;
  for (std::string& word : owned) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    if (chdir(path_.c_str()) != 0) _exit(126);
    redirect(path_ / ".out", STDOUT_FILENO);
    redirect(path_ / ".err", STDERR_FILENO);
    std::signal(SIGINT, SIG_DFL);  // ignored where the tests run in the background of a shell
    execvp(pointers.front(), pointers.data());
    _exit(127);
  }
  return child;
}

Outcome Workplace::finish(pid_t child) const {
  int status = 0;
  waitpid(child, &status, 0);
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return {.code = code, .out = content_of(path_ / ".out"), .err = content_of(path_ / ".err")};
}

Outcome Workplace::run(const std::vector<std::string>& words) const { return finish(start(words)); }

Outcome Workplace::ferula(const std::vector<std::string>& words) const { return run(with_program(words)); }

Outcome Workplace::ferula_with_signals(const std::vector<std::string>& words, const std::vector<int>& signals,
                                       const std::function<bool()>& ready) const {
  const pid_t child = start(with_program(words));
  await(ready);
  for (const int signal : signals) {
    kill(child, signal);
    std::this_thread::sleep_for(300ms);
  }
  return finish(child);
}

void Workplace::ferula_killed(const std::vector<std::string>& words, const std::function<bool()>& ready) const {
  const pid_t child = start(with_program(words));
  await(ready);
  for (const pid_t process : processes_in(path_)) kill(process, SIGKILL);
  finish(child);
}

std::size_t Workplace::lines_of(const std::string& name) const {
  const std::string text = read(name);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

void flip_a_bit(const std::filesystem::path& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(path) / 2);
  file.seekg(middle);
  const int byte = file.get();
  file.seekp(middle);
  file.put(static_cast<char>(byte ^ 1));
}

std::vector<std::string> with_settings(std::vector<std::string> words, const std::vector<std::string>& settings) {
  for (const std::string& setting : settings) words.insert(words.end(), {"--set", setting});
  return words;
}

void write_tiny_run(const Workplace& workplace, int steps) {
  std::string text;
  for (int line = 0; line < 400; ++line) text += "Line " + std::to_string(line * line) + " of a text to learn.\n";
  workplace.write("text.txt", text);
  workplace.write("tiny.toml",
                  "[run]\nname = \"tiny\"\ndevice = \"cpu\"\n"
                  "[model]\nlayers = 2\nwidth = 32\nheads = 2\ncontext = 32\n"
                  "[data]\ntext = [\"text.txt\"]\nsequence_length = 16\n"
                  "[training]\nsteps = " +
                      std::to_string(steps) +
                      "\ntrain_batch_size = 12\ntrain_micro_batch_size_per_gpu = 2\nevaluate_every = 5\n"
                      "[optimizer]\ntype = \"AdamW\"\nparams = { lr = 3e-3 }\n"
                      "[checkpoint]\nevery_steps = 5\nkeep_last = 4\n");
}

std::vector<double> metric(const Workplace& workplace, const std::string& run, const std::string& key) {
  const std::regex pattern("\"" + key + "\": *([-+.0-9eE]+)");
  std::istringstream lines(workplace.read("runs/" + run + "/metrics.jsonl"));
  std::vector<double> values;
  std::smatch found;
  for (std::string line; std::getline(lines, line);)
    if (std::regex_search(line, found, pattern)) values.push_back(std::stod(found[1]));
  return values;
}

}  // namespace ferula::system_tests
