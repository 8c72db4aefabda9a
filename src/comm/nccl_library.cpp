#include "comm/nccl_library.hpp"

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <nccl.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/bounded_call.hpp"
#include "base/narrow.hpp"
#include "device/cuda/cuda_error.hpp"
#include "device/cuda/cuda_stream.hpp"

namespace ferula {
namespace {

using Status = NcclResult::Status;

constexpr const char* kDefaultLibrary = "libnccl.so.2";
constexpr int kOldest = 21403;        // 2.14.3: the first with communicators that do not block
constexpr int kFirstSharing = 23000;  // 2.30: several ranks on one GPU
constexpr std::chrono::seconds kFarewell{3};

/// The functions of NCCL that are used.
struct Functions {
  decltype(&ncclGetVersion) get_version;
  decltype(&ncclGetUniqueId) get_unique_id;
  decltype(&ncclCommInitRankConfig) init_rank;
  decltype(&ncclCommGetAsyncError) get_async_error;
  decltype(&ncclCommFinalize) finalize;
  decltype(&ncclCommDestroy) destroy;
  decltype(&ncclCommAbort) abort;
  decltype(&ncclGetErrorString) get_error_string;
  decltype(&ncclGetLastError) get_last_error;
  decltype(&ncclAllReduce) all_reduce;
  decltype(&ncclAllGather) all_gather;
  decltype(&ncclReduceScatter) reduce_scatter;
  decltype(&ncclBroadcast) broadcast;
  decltype(&ncclSend) send;
  decltype(&ncclRecv) receive;
  decltype(&ncclGroupStart) group_start;
  decltype(&ncclGroupEnd) group_end;
};

/// False where the library has no such function.
template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool find_all(void* library, Functions& f) {
  return find(library, "ncclGetVersion", f.get_version) && find(library, "ncclGetUniqueId", f.get_unique_id) &&
         find(library, "ncclCommInitRankConfig", f.init_rank) &&
         find(library, "ncclCommGetAsyncError", f.get_async_error) && find(library, "ncclCommFinalize", f.finalize) &&
         find(library, "ncclCommDestroy", f.destroy) && find(library, "ncclCommAbort", f.abort) &&
         find(library, "ncclGetErrorString", f.get_error_string) &&
         find(library, "ncclGetLastError", f.get_last_error) && find(library, "ncclAllReduce", f.all_reduce) &&
         find(library, "ncclAllGather", f.all_gather) && find(library, "ncclReduceScatter", f.reduce_scatter) &&
         find(library, "ncclBroadcast", f.broadcast) && find(library, "ncclSend", f.send) &&
         find(library, "ncclRecv", f.receive) && find(library, "ncclGroupStart", f.group_start) &&
         find(library, "ncclGroupEnd", f.group_end);
}

ncclDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return ncclFloat32;
    case DType::f64:
      return ncclFloat64;
    case DType::bf16:
      return ncclBfloat16;
    case DType::i32:
      return ncclInt32;
    case DType::i64:
      return ncclInt64;
    default:
      FERULA_CHECK(false, "NCCL cannot reduce {}", name_of(dtype));
  }
}

ncclRedOp_t operation_of(ReduceOp op) { return op == ReduceOp::sum ? ncclSum : ncclMax; }

std::size_t size_of(std::int64_t count) { return narrow<std::size_t>(count); }

std::string describe_gpu(int device) {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties of GPU {}", device);
  std::string uuid = "GPU-";
  for (std::size_t byte = 0; byte < sizeof properties.uuid.bytes; ++byte) {
    if (byte == 4 || byte == 6 || byte == 8 || byte == 10) uuid += '-';
    uuid += fmt::format("{:02x}", static_cast<unsigned char>(properties.uuid.bytes[byte]));
  }
  return fmt::format("{}, {}", properties.name, uuid);
}

class NcclLibrary final : public NcclApi {
 public:
  NcclLibrary(const Functions& functions, int version, int device)
      : f_(functions), version_(version), device_(device), gpu_(describe_gpu(device)) {}

  int version() const override { return version_; }
  std::string gpu() const override { return gpu_; }
  bool shares_gpus() const override { return version_ >= kFirstSharing; }

  bool reaches(const std::byte* data) const override {
    cudaPointerAttributes attributes{};
    if (cudaPointerGetAttributes(&attributes, data) != cudaSuccess) {
      cudaGetLastError();  // the question was no error of the stream
      return false;
    }
    return attributes.type != cudaMemoryTypeUnregistered;
  }

  NcclResult make_id(NcclId& id) override {
    static_assert(sizeof(ncclUniqueId) == sizeof id.bytes);
    ncclUniqueId made{};
    const NcclResult result = result_of(f_.get_unique_id(&made), nullptr);
    std::memcpy(id.bytes.data(), made.internal, sizeof id.bytes);
    return result;
  }

  NcclResult begin(NcclComm& comm, const NcclId& id, int rank, int ranks) override {
    use_device();
    ncclUniqueId known{};
    std::memcpy(known.internal, id.bytes.data(), sizeof id.bytes);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclComm_t made = nullptr;
    const ncclResult_t status = f_.init_rank(&made, ranks, known, rank, &config);
    comm = made;
    return result_of(status, made);
  }

  NcclResult poll(NcclComm comm) override {
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = f_.get_async_error(native(comm), &state);
    return result_of(asked == ncclSuccess ? state : asked, native(comm));
  }

  /// The library stops the GPU's work at once, but then waits until the other ranks of the node abort, too: a rank that
  /// stands still never does.
  void abort(NcclComm comm) noexcept override {
    ends_within(kFarewell, [abort = f_.abort, device = device_, comm = native(comm)] {
      cudaSetDevice(device);
      abort(comm);
    });
  }

  void destroy(NcclComm comm) noexcept override {
    use_device();
    ncclResult_t state = f_.finalize(native(comm));
    const auto deadline = std::chrono::steady_clock::now() + kFarewell;
    while (state == ncclInProgress && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (f_.get_async_error(native(comm), &state) != ncclSuccess) break;
    }
    if (state == ncclSuccess) {
      f_.destroy(native(comm));
    } else {
      abort(comm);  // a peer does not answer any more
    }
  }

  NcclResult all_reduce(NcclComm comm, Stream& stream, const TensorView& inout, ReduceOp op) override {
    return result_of(f_.all_reduce(inout.data, inout.data, size_of(inout.count()), type_of(inout.dtype),
                                   operation_of(op), native(comm), native_stream(stream)),
                     native(comm));
  }
  NcclResult all_gather(NcclComm comm, Stream& stream, const TensorView& shard, const TensorView& whole) override {
    return result_of(
        f_.all_gather(shard.data, whole.data, size_of(shard.bytes()), ncclUint8, native(comm), native_stream(stream)),
        native(comm));
  }
  NcclResult reduce_scatter(NcclComm comm, Stream& stream, const TensorView& whole, const TensorView& shard,
                            ReduceOp op) override {
    return result_of(f_.reduce_scatter(whole.data, shard.data, size_of(shard.count()), type_of(shard.dtype),
                                       operation_of(op), native(comm), native_stream(stream)),
                     native(comm));
  }
  NcclResult broadcast(NcclComm comm, Stream& stream, const TensorView& inout, int root) override {
    return result_of(f_.broadcast(inout.data, inout.data, size_of(inout.bytes()), ncclUint8, root, native(comm),
                                  native_stream(stream)),
                     native(comm));
  }
  NcclResult exchange(NcclComm comm, Stream& stream, std::span<const Message> messages) override {
    const cudaStream_t line = native_stream(stream);
    ncclResult_t first = f_.group_start();
    for (const Message& message : messages) {
      const TensorView& data = message.data;
      const ncclResult_t given =
          message.direction == Message::Direction::send
              ? f_.send(data.data, size_of(data.bytes()), ncclUint8, message.peer, native(comm), line)
              : f_.receive(data.data, size_of(data.bytes()), ncclUint8, message.peer, native(comm), line);
      if (first == ncclSuccess && given != ncclInProgress) first = given;
    }
    const ncclResult_t last = f_.group_end();
    return result_of(first == ncclSuccess ? last : first, native(comm));
  }

  void settle(Stream& stream) override { native_stream(stream); }
  NcclMark mark(Stream& stream) override {
    const cudaStream_t line = native_stream(stream);  // waits, so before the lock
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      cudaEvent_t event = nullptr;
      check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
      free_.push_back(std::ssize(events_));
      events_.emplace_back(event);
      faults_.emplace_back();
    }
    const NcclMark mark = free_.back();
    check_cuda(cudaEventRecord(event_of(mark), line), "cudaEventRecord beside a collective");
    faults_[static_cast<std::size_t>(mark)] = &cuda_stream(stream).fault();
    free_.pop_back();
    return mark;
  }
  bool is_reached(NcclMark mark) override {
    const std::lock_guard lock(mutex_);
    return cudaEventQuery(event_of(mark)) != cudaErrorNotReady;  // of a failure the stream itself tells
  }
  void fail(NcclMark mark, std::exception_ptr error) override {
    const std::lock_guard lock(mutex_);
    if (cudaEventQuery(event_of(mark)) == cudaErrorNotReady)
      faults_[static_cast<std::size_t>(mark)]->set(std::move(error));
  }
  void forget(NcclMark mark) override {
    const std::lock_guard lock(mutex_);
    free_.push_back(mark);
  }

 private:
  static ncclComm_t native(NcclComm comm) { return static_cast<ncclComm_t>(comm); }
  void use_device() const { cudaSetDevice(device_); }  // the watchdog's thread has chosen none
  cudaEvent_t event_of(NcclMark mark) const { return events_[static_cast<std::size_t>(mark)].get(); }

  NcclResult result_of(ncclResult_t status, ncclComm_t comm) const {
    if (status == ncclSuccess) return {};
    if (status == ncclInProgress) return {.status = Status::in_progress};
    const char* detail = f_.get_last_error(comm);
    std::string words = f_.get_error_string(status);
    if (detail != nullptr && *detail != '\0') words += fmt::format(" [{}]", detail);
    return {.status = Status::failed, .words = words};
  }

  Functions f_;
  int version_;
  int device_;
  std::string gpu_;
  std::mutex mutex_;  // guards all below
  std::vector<CudaEventHandle> events_;
  std::vector<StreamFault*> faults_;  // of the streams of `events_`
  std::vector<NcclMark> free_;
};

}  // namespace

NcclOpening open_nccl() {
  const char* wanted = std::getenv("FERULA_NCCL_LIBRARY");
  const bool named = wanted != nullptr && *wanted != '\0';
  const std::string name = named ? wanted : kDefaultLibrary;
  if (name == "none") return {nullptr, "FERULA_NCCL_LIBRARY=none"};
  const auto without = [&](const std::string& reason) -> NcclOpening {
    if (named)
      throw DeviceError(fmt::format("FERULA_NCCL_LIBRARY: expected a library of NCCL {} or later, found: {}",
                                    nccl_version_words(kOldest), reason));
    return {nullptr, reason};
  };

  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays open: threads of NCCL outlive the last group
  if (library == nullptr) return without(dlerror());
  Functions functions{};
  int version = 0;
  if (!find_all(library, functions) || functions.get_version(&version) != ncclSuccess || version < kOldest)
    return without(fmt::format("{} is {}", name, version == 0 ? "no NCCL" : "NCCL " + nccl_version_words(version)));
  if (version >= kFirstSharing) setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", 0);  // refused only where the user says so
  int device = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  return {std::make_unique<NcclLibrary>(functions, version, device), {}};
}

}  // namespace ferula
