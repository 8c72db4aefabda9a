#include "cluster/run_program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace ferula {
namespace {

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Appends what is there to `text`; false at the end of the pipe.
bool read_some(int descriptor, std::string& text) {
  std::array<char, 4096> buffer{};
  const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
  if (count < 0 && errno == EINTR) return true;
  if (count <= 0) return false;
  text.append(buffer.data(), static_cast<std::size_t>(count));
  return true;
}

/// Both pipes at once: a program that fills one of them must not wait for the other.
void drain(int out, int err, ProgramOutcome& outcome) {
  std::array<pollfd, 2> waiting{
      {{.fd = out, .events = POLLIN, .revents = 0}, {.fd = err, .events = POLLIN, .revents = 0}}};
  while (waiting[0].fd >= 0 || waiting[1].fd >= 0) {
    if (::poll(waiting.data(), waiting.size(), -1) < 0) {
      if (errno != EINTR) return;
      continue;
    }
    if (waiting[0].revents != 0 && !read_some(out, outcome.out)) waiting[0].fd = -1;
    if (waiting[1].revents != 0 && !read_some(err, outcome.err)) waiting[1].fd = -1;
  }
}

[[noreturn]] void become_child(const std::vector<char*>& words, int out, int err) {
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing >= 0) ::dup2(nothing, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::execvp(words.front(), words.data());
  _exit(127);
}

}  // namespace

std::string ProgramOutcome::said() const {
  const std::string& text = err.empty() ? out : err;
  return text.substr(0, text.find_last_not_of(" \n") + 1);
}

ProgramOutcome run_program(const std::vector<std::string>& words) {
  std::vector<std::string> owned = words;
  const std::vector<char*> pointers = pointers_to(owned);
  std::array<int, 2> out{}, err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0) throw DeviceError(fmt::format("no pipe: {}", std::strerror(errno)));
  if (::pipe2(err.data(), O_CLOEXEC) != 0) throw DeviceError(fmt::format("no pipe: {}", std::strerror(errno)));
  const pid_t child = ::fork();
  if (child < 0) throw DeviceError(fmt::format("cannot start {}: {}", words.front(), std::strerror(errno)));
  if (child == 0) become_child(pointers, out[1], err[1]);
  ::close(out[1]);
  ::close(err[1]);
  ProgramOutcome outcome;
  drain(out[0], err[0], outcome);
  ::close(out[0]);
  ::close(err[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  outcome.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return outcome;
}

void become_program(const std::vector<std::string>& words, const std::string& advice) {
  std::vector<std::string> owned = words;
  const std::vector<char*> pointers = pointers_to(owned);
  ::execvp(pointers.front(), pointers.data());
  throw DeviceError(fmt::format("expected to start '{}', found: {}; {}", words.front(), std::strerror(errno), advice));
}

}  // namespace ferula
