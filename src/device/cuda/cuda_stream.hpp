// A CUDA stream as the program sees it: work of the GPU and tasks of the host in one order.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "device/cuda/cuda_error.hpp"
#include "device/stream.hpp"

namespace ferula {

/// Why work of a stream was ended from outside, if it was. The device owns it, so that who ends the work, and streams
/// that have waited for it, may outlive the stream.
class StreamFault {
 public:
  /// The first error is kept.
  void set(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
  }
  void rethrow() const {
    const std::lock_guard lock(mutex_);
    if (error_) std::rethrow_exception(error_);
  }

 private:
  mutable std::mutex mutex_;
  std::exception_ptr error_;
};

/// Work of the GPU is enqueued at once where no host task is pending; behind one, it waits in a queue of the host and a
/// thread of this stream enqueues it when the task is done. So the GPU itself never waits for the host: nothing that
/// synchronises the whole device (cudaFree, the loading of a kernel) can deadlock with ranks that share it.
/// One thread at a time gives it work; any thread may synchronise. After a task or the GPU has failed, later tasks are
/// dropped and the error is thrown as device/stream.hpp says.
class CudaStream final : public Stream {
 public:
  /// `device`: its index among the visible GPUs. `name` is the thread's. `fault` is this stream's own, and lives as
  /// long as anything that waits for it.
  CudaStream(int device, std::string name, StreamFault& fault);
  ~CudaStream() override;

  Event record() override;
  /// Events of other CudaStreams order the GPU without blocking the caller, unless a host task is pending before the
  /// event: then the caller waits for that task. An event of another kind of stream becomes a host task.
  void wait(Event event) override;
  void synchronize() override;
  void synchronize(std::uint64_t ticket) override;

  /// Calls `work` with the stream's handle, in the order of the stream; it enqueues and does not wait.
  void enqueue(std::function<void(cudaStream_t)> work);
  /// For launches on the caller's thread right after this call: first blocks until no host task is pending.
  cudaStream_t native();
  int device() const { return device_; }
  /// Once it is set, this stream and those that have waited for it throw it as an error of their work.
  StreamFault& fault() { return *fault_; }

 private:
  /// What a later record of the same slot overwrites is then an event further on: waits are longer, never too short.
  static constexpr std::size_t kEvents = 64;

  /// A task of the host: starts when the GPU has done what came before. Does not block the caller.
  void accept(std::function<void()> task) override;
  void give(std::function<void()> job);
  void work();
  void await_recorded(std::uint64_t ticket);
  std::vector<const StreamFault*> faults();
  void hear_of(const std::vector<const StreamFault*>& faults);
  void rethrow_faults();
  void rethrow_locked();
  cudaEvent_t slot(std::uint64_t ticket) const { return events_[ticket % kEvents].get(); }

  int device_;
  std::string name_;
  CudaStreamHandle stream_;
  std::array<CudaEventHandle, kEvents> events_;
  StreamFault* fault_;

  std::mutex mutex_;  // guards all below
  std::condition_variable given_, finished_;
  std::deque<std::function<void()>> jobs_;  // from the first pending host task on
  std::size_t pending_ = 0;                 // of `jobs_`, with the one under way
  std::uint64_t accepted_ = 0;              // tickets given out
  std::uint64_t recorded_ = 0;              // of which the event is on the GPU's stream
  std::exception_ptr error_;
  std::vector<const StreamFault*> faults_{fault_};  // its own, then those of streams waited for
  bool stopping_ = false;
  std::thread thread_;  // runs from the first host task on
};

/// The handle for launches on the caller's thread (see `CudaStream::native`). A stream of another kind is a broken
/// promise of our own code.
cudaStream_t native_stream(Stream& stream);

/// The same stream as what it is.
CudaStream& cuda_stream(Stream& stream);

}  // namespace ferula
