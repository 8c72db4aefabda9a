#include "device/cuda/cuda_stream.hpp"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace ferula {
namespace {

CudaStreamHandle make_stream(int device) {
  cudaStream_t stream = nullptr;
  check_cuda(cudaSetDevice(device), "cudaSetDevice({})", device);
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return CudaStreamHandle(stream);
}

CudaEventHandle make_event() {
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return CudaEventHandle(event);
}

}  // namespace

CudaStream::CudaStream(int device, std::string name, StreamFault& fault)
    : device_(device), name_(std::move(name)), stream_(make_stream(device)), fault_(&fault) {
  for (CudaEventHandle& event : events_) event = make_event();
}

CudaStream::~CudaStream() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  given_.notify_all();
  if (thread_.joinable()) thread_.join();
  cudaStreamSynchronize(stream_.get());  // an error has been thrown before, or nobody asks any more
}

void CudaStream::accept(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  rethrow_locked();
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { work(); });
    pthread_setname_np(thread_.native_handle(), name_.substr(0, 15).c_str());
  }
  jobs_.push_back([this, task = std::move(task)] {
    check_cuda(cudaStreamSynchronize(stream_.get()), "the work of stream {}", name_);
    task();
  });
  ++pending_;
  given_.notify_one();
}

Event CudaStream::record() {
  std::uint64_t ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    ticket = ++accepted_;
  }
  give([this, ticket] {
    const cudaError_t status = cudaEventRecord(slot(ticket), stream_.get());
    {
      const std::lock_guard lock(mutex_);
      recorded_ = ticket;  // also of a failed stream: who waits must wake to hear of the error
    }
    finished_.notify_all();
    check_cuda(status, "cudaEventRecord on stream {}", name_);
  });
  return {this, ticket};
}

void CudaStream::wait(Event event) {
  if (event.stream == nullptr || event.stream == this) return;
  auto* other = dynamic_cast<CudaStream*>(event.stream);
  if (other == nullptr) return run([event] { event.stream->synchronize(event.ticket); });
  other->await_recorded(event.ticket);
  hear_of(other->faults());
  enqueue([happened = other->slot(event.ticket)](cudaStream_t stream) {
    check_cuda(cudaStreamWaitEvent(stream, happened), "cudaStreamWaitEvent");
  });
}

void CudaStream::synchronize() {
  check_cuda(cudaStreamSynchronize(native()), "the work of stream {}", name_);
  rethrow_faults();
}

void CudaStream::synchronize(std::uint64_t ticket) {
  await_recorded(ticket);
  if (ticket != 0) check_cuda(cudaEventSynchronize(slot(ticket)), "the work of stream {}", name_);
  rethrow_faults();
}

std::vector<const StreamFault*> CudaStream::faults() {
  const std::lock_guard lock(mutex_);
  return faults_;
}

/// Few: of the streams of a rank.
void CudaStream::hear_of(const std::vector<const StreamFault*>& faults) {
  const std::lock_guard lock(mutex_);
  for (const StreamFault* fault : faults)
    if (std::find(faults_.begin(), faults_.end(), fault) == faults_.end()) faults_.push_back(fault);
}

void CudaStream::rethrow_faults() {
  const std::lock_guard lock(mutex_);
  rethrow_locked();
}

void CudaStream::enqueue(std::function<void(cudaStream_t)> work) {
  give([this, work = std::move(work)] { work(stream_.get()); });
}

cudaStream_t CudaStream::native() {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return pending_ == 0; });
  rethrow_locked();
  return stream_.get();
}

/// Runs `job` at once where nothing is pending, else behind what is.
void CudaStream::give(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    rethrow_locked();
    if (pending_ > 0) {
      jobs_.push_back(std::move(job));
      ++pending_;
      given_.notify_one();
      return;
    }
  }
  job();
}

void CudaStream::await_recorded(std::uint64_t ticket) {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return recorded_ >= ticket; });
  rethrow_locked();
}

void CudaStream::rethrow_locked() {
  if (error_) std::rethrow_exception(error_);
  for (const StreamFault* fault : faults_) fault->rethrow();
}

void CudaStream::work() {
  cudaSetDevice(device_);
  std::unique_lock lock(mutex_);
  while (true) {
    given_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    const bool failed = error_ != nullptr;
    if (failed) recorded_ = accepted_;  // nothing that was dropped may be waited for
    lock.unlock();
    std::exception_ptr thrown;
    try {
      if (!failed) job();
    } catch (...) {
      thrown = std::current_exception();
    }
    job = nullptr;  // what it captured dies before the work counts as done
    lock.lock();
    if (thrown) {
      error_ = thrown;
      recorded_ = accepted_;
    }
    --pending_;
    finished_.notify_all();
  }
}

CudaStream& cuda_stream(Stream& stream) {
  auto* cuda = dynamic_cast<CudaStream*>(&stream);
  FERULA_CHECK(cuda != nullptr, "work of a GPU was given to a stream of the host");
  return *cuda;
}

cudaStream_t native_stream(Stream& stream) { return cuda_stream(stream).native(); }

}  // namespace ferula
