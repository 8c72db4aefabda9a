// The two streams of the CPU: one that runs each task at once, and one with a thread of its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

#include "device/stream.hpp"

namespace ferula {

/// Runs each task on the caller's thread; an exception of a task reaches the caller directly.
class InlineStream final : public Stream {
 public:
  InlineStream() : Stream(Tasks::at_once) {}
  Event record() override { return {this, 0}; }
  void wait(Event event) override;
  void synchronize() override {}
  void synchronize(std::uint64_t) override {}

 private:
  void accept(std::function<void()> task) override { task(); }
};

/// Runs tasks in order on one thread of its own. After a task has thrown, later tasks are dropped.
class ThreadStream final : public Stream {
 public:
  explicit ThreadStream(std::string name);
  ~ThreadStream() override;
  Event record() override;
  void wait(Event event) override;
  void synchronize() override;
  void synchronize(std::uint64_t ticket) override;

 private:
  void accept(std::function<void()> task) override;
  void work();
  void rethrow_locked();

  std::mutex mutex_;
  std::condition_variable given_, finished_;
  std::deque<std::function<void()>> tasks_;
  std::uint64_t accepted_ = 0;
  std::uint64_t done_ = 0;
  std::exception_ptr error_;
  bool stopping_ = false;
  std::string name_;
  std::thread thread_;
};

}  // namespace ferula
