// An ordered queue of work. On the CPU a stream runs each task at once, or on a thread of its own (overlap).
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

namespace ferula {

class Stream;

/// A point in a stream's order; valid while its stream lives. A default one has already happened.
struct Event {
  Stream* stream = nullptr;
  std::uint64_t ticket = 0;
};

/// Tasks of one stream run in the order in which they were given; streams run beside each other.
/// An exception of a task is kept and thrown by the stream's next `run`, `synchronize` or by a `wait` for its event.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Gives the next task: done before the call returns where the stream runs each task at once.
  template <class Task>
  void run(Task&& task) {
    if (runs_at_once_)
      task();
    else
      accept(std::forward<Task>(task));
  }
  /// The work given so far.
  virtual Event record() = 0;
  /// Later work of this stream starts only after `event`. A stream on the caller's thread blocks the caller.
  virtual void wait(Event event) = 0;
  /// Blocks the caller until all work given so far is done.
  virtual void synchronize() = 0;
  /// Blocks the caller until the work up to `ticket` is done.
  virtual void synchronize(std::uint64_t ticket) = 0;

 protected:
  Stream() = default;
  enum class Tasks : std::uint8_t { at_once };
  explicit Stream(Tasks) : runs_at_once_(true) {}
  /// Takes a task of a stream that runs it later.
  virtual void accept(std::function<void()> task) = 0;

 private:
  bool runs_at_once_ = false;
};

}  // namespace ferula
