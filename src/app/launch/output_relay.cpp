#include "app/launch/output_relay.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>

#include "app/launch/child_process.hpp"
#include "base/error.hpp"

namespace ferula {
namespace {

constexpr int kPauseMs = 100;

/// Returns the reason why not all was written, or 0.
int write_all(std::span<const char> text) {
  while (!text.empty()) {
    const ssize_t count = write(STDOUT_FILENO, text.data(), text.size());
    if (count < 0 && errno != EINTR) return errno;
    if (count > 0) text = text.subspan(static_cast<std::size_t>(count));
  }
  return 0;
}

/// Blocked, a reader that went away is an error of the write alone.
class QuietPipe {
 public:
  ~QuietPipe() {
    const timespec at_once{};
    while (sigtimedwait(&signals_.set(), nullptr, &at_once) > 0) {
    }  // else it would be delivered now
  }

 private:
  BlockedSignals signals_{SIGPIPE};
};

}  // namespace

OutputRelay::OutputRelay() {
  if (pipe2(ends_.data(), O_CLOEXEC) != 0) throw DeviceError(fmt::format("no pipe: {}", std::strerror(errno)));
}

OutputRelay::~OutputRelay() {
  finish();
  for (const std::size_t end : {0, 1}) close_end(end);
}

void OutputRelay::start() {
  close_end(1);
  thread_ = std::thread([this] { copy(); });
}

int OutputRelay::finish() noexcept {
  child_has_ended_ = true;
  if (thread_.joinable()) thread_.join();
  return reason_;
}

void OutputRelay::copy() {
  const QuietPipe quiet;
  std::array<char, 65536> piece{};
  for (;;) {
    pollfd waiting{.fd = ends_[0], .events = POLLIN, .revents = 0};
    const bool had_ended = child_has_ended_;
    const int ready = poll(&waiting, 1, had_ended ? 0 : kPauseMs);
    if (ready == 0 && had_ended) return;
    if (ready <= 0) continue;
    const ssize_t count = read(ends_[0], piece.data(), piece.size());
    if (count <= 0) return;
    if (reason_ == 0) reason_ = write_all(std::span(piece).first(static_cast<std::size_t>(count)));
  }
}

void OutputRelay::close_end(std::size_t end) {
  if (ends_[end] >= 0) close(ends_[end]);
  ends_[end] = -1;
}

}  // namespace ferula
