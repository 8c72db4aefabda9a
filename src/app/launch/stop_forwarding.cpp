#include "app/launch/stop_forwarding.hpp"

#include <csignal>

#include "app/launch/launch_report.hpp"

namespace ferula {

std::optional<int> StopForwarding::accept(int signal, double now_s) {
  const bool insists = signal == SIGINT && interrupted_;
  interrupted_ = interrupted_ || signal == SIGINT;
  if (signal == SIGINT && !insists) report_interrupt(report_);
  if (stop_ == CommandStop::saves && !insists) {
    if (!std::exchange(asked_to_save_, true)) pending_since_s_ = now_s;
    return std::nullopt;
  }
  if (signal == SIGUSR1) return std::nullopt;  // asks to save, where nothing is to be saved
  return ending_signal();
}

std::optional<int> StopForwarding::due(double now_s) {
  if (!pending_since_s_) return std::nullopt;
  const bool all_listen = read_launch_report(report_).ready == ranks_;
  if (!all_listen && now_s - *pending_since_s_ < kStopPatience) return std::nullopt;
  pending_since_s_.reset();
  return all_listen ? SIGUSR1 : ending_signal();
}

int StopForwarding::ending_signal() { return std::exchange(at_once_, true) ? SIGKILL : SIGTERM; }

}  // namespace ferula
