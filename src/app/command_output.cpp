#include "app/command_output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "app/child_process.hpp"
#include "base/error.hpp"
#include "storage/posix_descriptor.hpp"

namespace ferula {
namespace {

using Clock = std::chrono::steady_clock;

/// Everything until the end of the pipe; nothing where that does not come in time.
std::optional<std::string> read_until(int source, Clock::time_point deadline) {
  std::string text;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd readable{source, POLLIN, 0};
    if (left <= 0 || poll(&readable, 1, static_cast<int>(left)) <= 0) return std::nullopt;
    std::array<char, 4096> bytes{};
    const ssize_t count = read(source, bytes.data(), bytes.size());
    if (count < 0) return std::nullopt;
    if (count == 0) return text;
    text.append(bytes.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

std::optional<std::string> command_output(const std::string& command, std::chrono::milliseconds patience) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  pid_t child = 0;
  try {
    const BlockedSignals signals{};
    child = start_child({"sh", "-c", "exec 2>/dev/null; " + command}, signals, "", writing.get());
  } catch (const DeviceError&) {
    return std::nullopt;
  }
  writing.reset();
  std::optional<std::string> text = read_until(reading.get(), Clock::now() + patience);
  if (!text) kill(-child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  return text && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? text : std::nullopt;
}

}  // namespace ferula
