#include "runtime.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace ferula::emulated {
namespace {

constexpr int kMultiprocessors = 4;
constexpr int kCapability = 9;
constexpr std::size_t kMemoryBytes = std::size_t{4} << 30;
constexpr std::size_t kMostThreads = 1024, kMostSharedBytes = 227 << 10, kSharedBytesUnasked = 48 << 10;
constexpr unsigned kMostBlocksOfOtherSides = 65535;
constexpr std::size_t kPage = 4096, kAlignment = 256;

using Clock = std::chrono::steady_clock;

/// One lock for everything: the GPU is for tests.
struct Gpu {
  std::mutex mutex;
  cudaError_t broken = cudaSuccess;  // by a fault, for ever
  std::string fault;
  std::map<const void*, std::size_t> memory, pinned;  // sizes by address
  std::size_t taken = 0;
  std::map<const void*, int> shared_bytes_allowed;  // of kernels
};

/// Never destroyed: streams of other objects may end after it would.
Gpu& gpu() {
  static Gpu& only = *new Gpu;
  return only;
}

thread_local cudaError_t last_error = cudaSuccess;

cudaError_t failed(cudaError_t error) { return last_error = error; }

class Queue {
 public:
  Queue() : thread_([this] { run(); }) {}
  /// When its work is done. Who still holds an event of it may ask it later.
  void stop() {
    {
      const std::lock_guard lock(gpu().mutex);
      stopping_ = true;
    }
    given_work_.notify_all();
    thread_.join();
  }

  /// The number of the work; the lock is held.
  std::uint64_t give(std::function<void()> work) {
    waiting_.push_back(std::move(work));
    given_work_.notify_one();
    return ++given_;
  }
  void await(std::unique_lock<std::mutex>& lock, std::uint64_t number) {
    has_done_.wait(lock, [&] { return done_ >= number; });
  }
  void await(std::unique_lock<std::mutex>& lock) { await(lock, given_); }
  bool has_done(std::uint64_t number) const { return done_ >= number; }

 private:
  void run() {
    std::unique_lock lock(gpu().mutex);
    while (true) {
      given_work_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      const std::function<void()> work = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      std::string fault;
      try {
        work();
      } catch (const KernelFault& thrown) {
        fault = thrown.what();
      }
      lock.lock();
      if (!fault.empty()) {
        gpu().broken = cudaErrorLaunchFailure;
        gpu().fault = fault;
        std::fprintf(stderr, "emulated GPU: %s\n", fault.c_str());
      }
      ++done_;
      has_done_.notify_all();
    }
  }

  std::condition_variable given_work_, has_done_;
  std::deque<std::function<void()>> waiting_;
  std::uint64_t given_ = 0, done_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

struct Event {
  Queue* queue = nullptr;  // null: never recorded
  std::uint64_t number = 0;
  Clock::time_point when;
};

/// Of all streams that were made, the host's own first; they are never freed.
std::deque<Queue*>& queues() {
  static std::deque<Queue*>& all = *new std::deque<Queue*>{new Queue};
  return all;
}
Queue& queue_of(cudaStream_t stream) {
  return stream == nullptr ? *queues().front() : *reinterpret_cast<Queue*>(stream);
}
Event& event_of(cudaEvent_t event) { return *reinterpret_cast<Event*>(event); }

void await(std::unique_lock<std::mutex>& lock, const Event& event) {
  if (event.queue != nullptr) event.queue->await(lock, event.number);
}

std::size_t rounded(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

/// Memory that ends, but for its alignment, where a page begins that nobody may touch.
void* map_guarded(std::size_t bytes) {
  const std::size_t used = rounded(bytes, kAlignment), whole = rounded(used, kPage);
  void* begin = mmap(nullptr, whole + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED) return nullptr;
  mprotect(begin, whole, PROT_READ | PROT_WRITE);
  return static_cast<std::byte*>(begin) + (whole - used);
}

void unmap_guarded(void* memory, std::size_t bytes) {
  const std::size_t used = rounded(bytes, kAlignment), whole = rounded(used, kPage);
  munmap(static_cast<std::byte*>(memory) - (whole - used), whole + kPage);
}

bool lies_in(const std::map<const void*, std::size_t>& blocks, const void* address) {
  auto after = blocks.upper_bound(address);
  if (after == blocks.begin()) return false;
  --after;
  return static_cast<const std::byte*>(address) < static_cast<const std::byte*>(after->first) + after->second;
}

/// What a GPU refuses at once.
cudaError_t refusal(const cudaLaunchConfig_t& config, const void* kernel) {
  const dim3 block = config.blockDim, grid = config.gridDim;
  const std::size_t threads = std::size_t{1} * block.x * block.y * block.z;
  if (threads == 0 || threads > kMostThreads || grid.x == 0 || grid.y == 0 || grid.z == 0 ||
      grid.y > kMostBlocksOfOtherSides || grid.z > kMostBlocksOfOtherSides)
    return cudaErrorInvalidConfiguration;
  const auto allowed = gpu().shared_bytes_allowed.find(kernel);
  const std::size_t most = allowed == gpu().shared_bytes_allowed.end()
                               ? kSharedBytesUnasked
                               : std::max(kSharedBytesUnasked, static_cast<std::size_t>(allowed->second));
  return config.dynamicSmemBytes > most ? cudaErrorInvalidValue : cudaSuccess;
}

}  // namespace

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  const std::lock_guard lock(gpu().mutex);
  if (gpu().broken != cudaSuccess) return failed(gpu().broken);
  queue_of(stream).give(std::move(work));
  return cudaSuccess;
}

void launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> thread) {
  {
    const std::lock_guard lock(gpu().mutex);
    const cudaError_t error = refusal(config, kernel);
    if (error != cudaSuccess) {
      failed(error);
      return;
    }
  }
  static_cast<void>(enqueue(config.stream, [grid = Launch{config.gridDim, config.blockDim, config.dynamicSmemBytes,
                                                          std::move(thread)}] { run_grid(grid); }));
}

std::string last_fault() {
  const std::lock_guard lock(gpu().mutex);
  return gpu().fault;
}

}  // namespace ferula::emulated

using namespace ferula::emulated;  // NOLINT: the functions below are its

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : failed(cudaErrorInvalidDevice); }
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "The processor as a GPU");
  properties->totalGlobalMem = kMemoryBytes;
  properties->major = kCapability;
  properties->multiProcessorCount = kMultiprocessors;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = kMultiprocessors;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = kCapability;
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(kMostSharedBytes + 1024);
      break;
    case cudaDevAttrL2CacheSize:
      *value = 50 << 20;
      break;
    default:
      return failed(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int) {
  std::snprintf(text, static_cast<std::size_t>(length), "0000:01:00.0");
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) {
  static thread_local std::string words;
  words = error == cudaErrorLaunchFailure ? "a kernel failed: " + last_fault() : "refused";
  return words.c_str();
}
const char* cudaGetErrorName(cudaError_t error) {
  static thread_local std::string name;
  name = "cudaError " + std::to_string(static_cast<int>(error));
  return name.c_str();
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  const std::lock_guard lock(gpu().mutex);
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value > static_cast<int>(kMostSharedBytes))
    return failed(cudaErrorInvalidValue);
  gpu().shared_bytes_allowed[kernel] = value;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const std::lock_guard lock(gpu().mutex);
  if (bytes > kMemoryBytes - gpu().taken) return failed(cudaErrorMemoryAllocation);
  *memory = map_guarded(bytes);
  if (*memory == nullptr) return failed(cudaErrorMemoryAllocation);
  gpu().memory[*memory] = bytes;
  gpu().taken += bytes;
  return cudaSuccess;
}
/// As on a GPU, after all that has been given to it.
cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  std::unique_lock lock(gpu().mutex);
  const auto found = gpu().memory.find(memory);
  if (found == gpu().memory.end()) return failed(cudaErrorInvalidValue);
  const std::size_t bytes = found->second;
  gpu().memory.erase(found);
  gpu().taken -= bytes;
  lock.unlock();
  cudaDeviceSynchronize();
  unmap_guarded(memory, bytes);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  *memory = map_guarded(bytes);
  if (*memory == nullptr) return failed(cudaErrorMemoryAllocation);
  const std::lock_guard lock(gpu().mutex);
  gpu().pinned[*memory] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  std::unique_lock lock(gpu().mutex);
  const auto found = gpu().pinned.find(memory);
  if (found == gpu().pinned.end()) return failed(cudaErrorInvalidValue);
  const std::size_t bytes = found->second;
  gpu().pinned.erase(found);
  lock.unlock();
  cudaDeviceSynchronize();
  unmap_guarded(memory, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* all) {
  const std::lock_guard lock(gpu().mutex);
  *free = kMemoryBytes - gpu().taken;
  *all = kMemoryBytes;
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  const std::lock_guard lock(gpu().mutex);
  *attributes = {};
  if (lies_in(gpu().memory, address)) {
    attributes->type = cudaMemoryTypeDevice;
    attributes->devicePointer = const_cast<void*>(address);
  } else if (lies_in(gpu().pinned, address)) {
    attributes->type = cudaMemoryTypeHost;
    attributes->devicePointer = attributes->hostPointer = const_cast<void*>(address);
  }
  return cudaSuccess;
}
cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  return enqueue(nullptr, [=] { std::memset(memory, value, bytes); });
}
/// Memory of the host that is not pinned may go as soon as the call has returned.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  const cudaError_t error = enqueue(stream, [=] { std::memmove(to, from, bytes); });
  if (error != cudaSuccess) return error;
  std::unique_lock lock(gpu().mutex);
  const auto known = [](const void* address) {
    return lies_in(gpu().memory, address) || lies_in(gpu().pinned, address);
  };
  if (known(to) && known(from)) return cudaSuccess;
  lock.unlock();
  return cudaStreamSynchronize(stream);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  auto* made = new Queue;
  const std::lock_guard lock(gpu().mutex);
  queues().push_back(made);
  *stream = reinterpret_cast<cudaStream_t>(made);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  queue_of(stream).stop();
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  std::unique_lock lock(gpu().mutex);
  queue_of(stream).await(lock);
  return gpu().broken == cudaSuccess ? cudaSuccess : failed(gpu().broken);
}
cudaError_t cudaDeviceSynchronize() {
  std::unique_lock lock(gpu().mutex);
  for (std::size_t index = 0; index < queues().size(); ++index)
    queues()[index]->await(lock);  // more may come meanwhile
  return gpu().broken == cudaSuccess ? cudaSuccess : failed(gpu().broken);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  Event recorded;
  {
    const std::lock_guard lock(gpu().mutex);
    recorded.queue = event_of(event).queue;
    recorded.number = event_of(event).number;
  }
  return enqueue(stream, [recorded] {
    std::unique_lock lock(gpu().mutex);
    await(lock, recorded);
  });
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(new Event);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  cudaEventSynchronize(event);
  delete &event_of(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::lock_guard lock(gpu().mutex);
  if (gpu().broken != cudaSuccess) return failed(gpu().broken);
  Event& mine = event_of(event);
  mine.queue = &queue_of(stream);
  mine.number = mine.queue->give([&mine] { mine.when = Clock::now(); });
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  std::unique_lock lock(gpu().mutex);
  await(lock, event_of(event));
  return gpu().broken == cudaSuccess ? cudaSuccess : failed(gpu().broken);
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard lock(gpu().mutex);
  if (gpu().broken != cudaSuccess) return failed(gpu().broken);
  const Event& mine = event_of(event);
  return mine.queue == nullptr || mine.queue->has_done(mine.number) ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(event_of(end).when - event_of(begin).when).count();
  return cudaSuccess;
}

}  // extern "C"
