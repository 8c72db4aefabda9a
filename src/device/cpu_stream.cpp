#include "device/cpu_stream.hpp"

#include <pthread.h>

#include <utility>

namespace ferula {

void InlineStream::wait(Event event) {
  if (event.stream != nullptr && event.stream != this) event.stream->synchronize(event.ticket);
}

ThreadStream::ThreadStream(std::string name) : name_(std::move(name)), thread_([this] { work(); }) {
  pthread_setname_np(thread_.native_handle(), name_.substr(0, 15).c_str());
}

ThreadStream::~ThreadStream() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  given_.notify_all();
  thread_.join();
}

void ThreadStream::accept(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    rethrow_locked();
    tasks_.push_back(std::move(task));
    ++accepted_;
  }
  given_.notify_one();
}

Event ThreadStream::record() {
  const std::lock_guard lock(mutex_);
  return {this, accepted_};
}

void ThreadStream::wait(Event event) {
  if (event.stream == nullptr || event.stream == this) return;
  run([event] { event.stream->synchronize(event.ticket); });
}

void ThreadStream::synchronize() { synchronize(record().ticket); }

void ThreadStream::synchronize(std::uint64_t ticket) {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return done_ >= ticket; });
  rethrow_locked();
}

void ThreadStream::rethrow_locked() {
  if (error_) std::rethrow_exception(error_);
}

void ThreadStream::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    given_.wait(lock, [&] { return stopping_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    const bool drop = error_ != nullptr;
    lock.unlock();
    std::exception_ptr thrown;
    try {
      if (!drop) task();
    } catch (...) {
      thrown = std::current_exception();
    }
    task = nullptr;  // what it captured dies before the work counts as done
    lock.lock();
    if (thrown) error_ = thrown;
    ++done_;
    finished_.notify_all();
  }
}

}  // namespace ferula
