// Starts another program in a process group of its own.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// Keeps signals back from this thread while it lives, so that they can be taken with sigtimedwait.
class BlockedSignals {
 public:
  explicit BlockedSignals(std::initializer_list<int> signals);
  ~BlockedSignals();
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  const sigset_t& set() const { return set_; }
  const sigset_t& previous() const { return previous_; }

 private:
  sigset_t set_;
  sigset_t previous_;
};

/// Starts `words[0]`, found in PATH. The terminal's Ctrl-C does not reach it, its standard input is empty, its OpenMP
/// threads wait without spinning, and it is ended when this process dies. Returns its process id; the caller waits for
/// it. `output`: an open descriptor for its standard output; none: that of this process. Throws DeviceError with the
/// reason and `advice` when it cannot be started.
pid_t start_child(const std::vector<std::string>& words, const BlockedSignals& signals, std::string_view advice,
                  std::optional<int> output = std::nullopt);

}  // namespace ferula
