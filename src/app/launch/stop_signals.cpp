#include "app/launch/stop_signals.hpp"

#include <array>
#include <atomic>
#include <utility>

#include "app/launch/launch_report.hpp"

namespace ferula {
namespace {

constexpr std::array<int, 4> kSignals{SIGUSR1, SIGTERM, SIGHUP, SIGINT};

// A signal handler has no other way to reach an object than through memory that everybody can see.
std::atomic<int> asked_code{static_cast<int>(ExitCode::done)};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

extern "C" void remember_signal(int signal) {
  if (signal != SIGINT) {
    int expected = static_cast<int>(ExitCode::done);
    asked_code.compare_exchange_strong(expected, static_cast<int>(ExitCode::resume_me));
    return;
  }
  const int before = asked_code.exchange(static_cast<int>(ExitCode::interrupted));
  if (before != static_cast<int>(ExitCode::interrupted)) return;
  std::signal(SIGINT, SIG_DFL);  // the second one: end as if nobody had listened
  std::raise(SIGINT);
}

}  // namespace

bool is_ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

StopSignals::StopSignals(std::filesystem::path launch_report) : launch_report_(std::move(launch_report)) {
  asked_code = static_cast<int>(ExitCode::done);
  struct sigaction action {};
  action.sa_handler = remember_signal;
  action.sa_flags = SA_RESTART;  // a file operation in progress goes on
  sigemptyset(&action.sa_mask);
  for (const int signal : kSignals)
    if (!is_ignored(signal)) sigaction(signal, &action, &previous_[signal]);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, &previous_[SIGPIPE]);
}

StopSignals::~StopSignals() {
  for (const auto& [signal, action] : previous_) sigaction(signal, &action, nullptr);
}

ExitCode StopSignals::asked() const {
  const auto asked = static_cast<ExitCode>(asked_code.load());
  const bool is_passed_on = asked == ExitCode::resume_me && read_launch_report(launch_report_).is_interrupted;
  return is_passed_on ? ExitCode::interrupted : asked;
}

}  // namespace ferula
