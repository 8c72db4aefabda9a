#include "app/wizard/wizard_terminal.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "app/launch/child_process.hpp"
#include "base/error.hpp"
#include "base/output.hpp"
#include "config/diagnostic.hpp"
#include "storage/posix_descriptor.hpp"

namespace ferula {
namespace {

constexpr int kNarrowest = 20;
constexpr int kUsualWidth = 80;
constexpr int kWidest = 120;
constexpr std::size_t kLongestLine = 1 << 16;

class StandardTerminal final : public WizardTerminal {
 public:
  explicit StandardTerminal(bool shows_on_error)
      : shows_on_error_(shows_on_error), signal_source_(signalfd(-1, &signals_.set(), SFD_CLOEXEC)) {
    if (signal_source_.get() < 0) throw DeviceError("the system gives no descriptor for signals");
  }

  void show(std::string_view text) override {
    if (!shows_on_error_) return write_output(text);
    std::fwrite(text.data(), 1, text.size(), stderr);
  }

  TypedLine read_line() override {
    while (true) {
      if (const std::size_t end = pending_.find('\n'); end != std::string::npos) return take(end);
      std::array<pollfd, 2> sources{{{STDIN_FILENO, POLLIN, 0}, {signal_source_.get(), POLLIN, 0}}};
      if (poll(sources.data(), sources.size(), -1) < 0) {
        if (errno == EINTR) continue;
        return {TypedLine::Kind::end};
      }
      if ((sources[1].revents & POLLIN) != 0) return signalled();
      std::array<char, 4096> bytes{};
      const ssize_t count = read(STDIN_FILENO, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return {TypedLine::Kind::end};
      pending_.append(bytes.data(), static_cast<std::size_t>(count));
      if (pending_.size() > kLongestLine) return take(pending_.size());
    }
  }

  int width() const override {
    winsize size{};
    const bool known = ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? std::clamp<int>(size.ws_col, kNarrowest, kWidest) : kUsualWidth;
  }

 private:
  TypedLine take(std::size_t end) {
    TypedLine line{TypedLine::Kind::text, pending_.substr(0, end)};
    pending_.erase(0, end + 1);
    if (line.text.ends_with('\r')) line.text.pop_back();
    return line;
  }
  TypedLine signalled() {
    signalfd_siginfo info{};
    if (read(signal_source_.get(), &info, sizeof info) != sizeof info) return {TypedLine::Kind::stopped};
    return {info.ssi_signo == SIGINT ? TypedLine::Kind::interrupted : TypedLine::Kind::stopped};
  }

  bool shows_on_error_;
  BlockedSignals signals_{SIGINT, SIGTERM, SIGHUP};
  Descriptor signal_source_;
  std::string pending_;
};

/// The words between spaces.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

}  // namespace

std::unique_ptr<WizardTerminal> make_wizard_terminal(bool shows_on_error) {
  return std::make_unique<StandardTerminal>(shows_on_error);
}

std::string wrapped(std::string_view text, int width, int indent) {
  if (character_count(text) <= width) return std::string(text);
  const std::size_t spaces = text.find_first_not_of(' ');
  std::string lines(spaces == std::string_view::npos ? 0 : spaces, ' ');
  std::int64_t column = std::ssize(lines);
  bool is_first = true;
  for (const std::string_view word : words_of(text)) {
    const std::int64_t length = character_count(word);
    if (!is_first && column + 1 + length > width) {
      lines += "\n" + std::string(static_cast<std::size_t>(indent), ' ');
      column = indent;
      is_first = true;
    }
    lines += fmt::format("{}{}", is_first ? "" : " ", word);
    column += length + (is_first ? 0 : 1);
    is_first = false;
  }
  return lines;
}

}  // namespace ferula
