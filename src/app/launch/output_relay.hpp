// Stands between mpirun and standard output: mpirun loses in silence what it cannot write.
#pragma once

#include <array>
#include <atomic>
#include <thread>

namespace ferula {

/// A pipe for the output of a child, and a thread that copies it to standard output. In this order: give `child_end` to
/// the child, `start`, wait for the child, `finish`.
class OutputRelay {
 public:
  /// Throws DeviceError where there is no pipe.
  OutputRelay();
  /// Finishes, and forgets what went wrong.
  ~OutputRelay();
  OutputRelay(const OutputRelay&) = delete;
  OutputRelay& operator=(const OutputRelay&) = delete;

  int child_end() const { return ends_[1]; }
  void start();
  /// Copies what is left, also where some process still holds the pipe. Returns the reason (of errno) for which
  /// something was not written, or 0.
  int finish() noexcept;

 private:
  void copy();
  void close_end(std::size_t end);

  std::array<int, 2> ends_{-1, -1};
  std::atomic<bool> child_has_ended_{false};
  int reason_ = 0;
  std::thread thread_;
};

}  // namespace ferula
