#include "app/launch/child_process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.hpp"
#include "base/handle.hpp"

namespace ferula {
namespace {

struct DescriptorTraits {
  using type = int;
  static type invalid() { return -1; }
  static void close(type descriptor) noexcept { ::close(descriptor); }
};
using Descriptor = Handle<DescriptorTraits>;

/// Runs in the child, between fork and exec; tells the parent through `failure` why exec did not happen.
[[noreturn]] void become(const std::vector<char*>& words, const BlockedSignals& signals, std::optional<int> output,
                         int failure) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  sigprocmask(SIG_SETMASK, &signals.previous(), nullptr);
  const int nothing = open("/dev/null", O_RDONLY);
  if (nothing >= 0) dup2(nothing, STDIN_FILENO);
  if (output) dup2(*output, STDOUT_FILENO);
  setenv("OMP_WAIT_POLICY", "passive", 0);  // ranks may share cores: a spinning thread takes them from the others
  execvp(words.front(), words.data());
  const int reason = errno;
  if (write(failure, &reason, sizeof reason) < 0) _exit(126);
  _exit(127);
}

}  // namespace

BlockedSignals::BlockedSignals(std::initializer_list<int> signals) {
  sigemptyset(&set_);
  for (const int signal : signals) sigaddset(&set_, signal);
  pthread_sigmask(SIG_BLOCK, &set_, &previous_);
}

BlockedSignals::~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }

pid_t start_child(const std::vector<std::string>& words, const BlockedSignals& signals, std::string_view advice,
                  std::optional<int> output) {
  std::vector<std::string> owned = words;
  std::vector<char*> pointers;
  pointers.reserve(owned.size() + 1);
  for (std::string& word : owned) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw DeviceError(fmt::format("no pipe: {}", std::strerror(errno)));
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  const pid_t child = fork();
  if (child < 0) throw DeviceError(fmt::format("cannot start {}: {}", words.front(), std::strerror(errno)));
  if (child == 0) become(pointers, signals, output, writing.get());
  writing.reset();
  int reason = 0;
  if (read(reading.get(), &reason, sizeof reason) == sizeof reason) {  // an exec that happened closes the pipe
    waitpid(child, nullptr, 0);
    throw DeviceError(
        fmt::format("expected to start '{}', found: {}; {}", words.front(), std::strerror(reason), advice));
  }
  return child;
}

}  // namespace ferula
