#include "terminal_run.hpp"

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>

namespace ferula::system_tests {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void become(const Workplace& workplace, std::vector<std::string> words, const Screen& screen) {
  if (chdir(workplace.path().c_str()) != 0) _exit(126);
  if (!screen.path_before.empty()) {
    const char* path = std::getenv("PATH");
    setenv("PATH", (screen.path_before + ":" + (path == nullptr ? "" : path)).c_str(), 1);
  }
  words.insert(words.begin(), FERULA_PROGRAM);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::signal(SIGINT, SIG_DFL);
  execv(pointers.front(), pointers.data());
  _exit(127);
}

/// Adds what the screen shows until the program waits for a line or has ended; false once it has ended.
bool read_until_prompt(int screen, std::string& shown, Clock::time_point deadline) {
  constexpr int kPause = 50;  // ms: a text that happens to be read up to a colon goes on sooner
  const std::size_t begin = shown.size();
  while (Clock::now() < deadline) {
    pollfd readable{screen, POLLIN, 0};
    if (poll(&readable, 1, kPause) <= 0) {
      if (shown.size() > begin && shown.ends_with(": ")) return true;
      continue;
    }
    std::array<char, 4096> bytes{};
    const ssize_t count = read(screen, bytes.data(), bytes.size());
    if (count <= 0) return false;
    shown.append(bytes.data(), static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

Outcome ferula_on_terminal(const Workplace& workplace, const std::vector<std::string>& words,
                           const std::vector<std::string>& keys, const Screen& screen) {
  winsize size{};
  size.ws_col = static_cast<unsigned short>(screen.columns);
  size.ws_row = static_cast<unsigned short>(screen.rows);
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) become(workplace, words, screen);
  const auto deadline = Clock::now() + std::chrono::minutes(1);
  Outcome outcome;
  bool runs = read_until_prompt(terminal, outcome.out, deadline);
  for (const std::string& key : keys) {
    if (!runs || write(terminal, key.data(), key.size()) < 0) break;
    if (key.ends_with("\n") || key == "\x03" || key == "\x04")
      runs = read_until_prompt(terminal, outcome.out, deadline);
  }
  if (runs) close(terminal);  // nobody types any more: the program sees that its terminal is gone
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (Clock::now() > deadline) kill(child, SIGKILL);
    usleep(10'000);
  }
  if (!runs) close(terminal);
  outcome.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  std::erase(outcome.out, '\r');
  return outcome;
}

}  // namespace ferula::system_tests
