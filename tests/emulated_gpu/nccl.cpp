// A libnccl.so.2 whose ranks are threads and processes of one host, with the processor for a GPU: what of NCCL the
// backend uses, with communicators that do not block, operations in the order of streams, and an abort that waits for
// the other ranks, as was seen of NCCL 2.30 on an H200.
#include <nccl.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/dtype.hpp"
#include "enqueue.hpp"
#include "nccl_group.hpp"

using ferula::bf16;
using ferula::emulated::Group;
using ferula::emulated::Offer;

/// Never freed: work of its streams may be under way.
struct ncclComm {
  std::unique_ptr<Group> group;
  std::uint64_t operations = 0, sent[ferula::emulated::kMostRanks] = {}, received[ferula::emulated::kMostRanks] = {};
  std::atomic<int> under_way = 0;
  std::atomic<bool> asked = true;  // since its last call: until then the call is in progress
  std::string problem;             // of the last question
};

namespace {

constexpr int kVersion = 23007;
constexpr std::chrono::milliseconds kPause{1};

using Work = std::function<void()>;

/// Messages that are given between group_start and group_end, by the thread that gives them.
struct OpenGroup {
  int depth = 0;
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  std::vector<Group::Message> messages;
};
thread_local OpenGroup open_group;

ncclResult_t give(ncclComm_t comm, cudaStream_t stream, Work work) {
  ++comm->under_way;
  comm->asked = false;
  auto* held = new Work([comm, work = std::move(work)] {
    work();
    --comm->under_way;
  });
  const cudaError_t error = ferula_emulated_enqueue(
      stream,
      [](void* argument) {
        const std::unique_ptr<Work> owned(static_cast<Work*>(argument));
        (*owned)();
      },
      held);
  if (error == cudaSuccess) return ncclInProgress;
  delete held;
  --comm->under_way;
  return ncclUnhandledCudaError;
}

std::size_t bytes_of(ncclDataType_t type) {
  switch (type) {
    case ncclUint8:
      return 1;
    case ncclBfloat16:
      return 2;
    case ncclFloat32:
    case ncclInt32:
      return 4;
    default:
      return 8;
  }
}

template <class T, class Sum>
void reduce_as(const std::vector<std::vector<std::byte>>& parts, std::size_t count, ncclRedOp_t op, void* result) {
  const auto at = [&](std::size_t part, std::size_t index) {
    T value;
    std::memcpy(&value, parts[part].data() + index * sizeof(T), sizeof(T));
    return static_cast<Sum>(value);
  };
  for (std::size_t index = 0; index < count; ++index) {
    Sum sum = at(0, index);
    for (std::size_t part = 1; part < parts.size(); ++part)
      sum = op == ncclSum ? sum + at(part, index) : std::max(sum, at(part, index));
    static_cast<T*>(result)[index] = static_cast<T>(sum);
  }
}

void reduce(const std::vector<std::vector<std::byte>>& parts, std::size_t count, ncclDataType_t type, ncclRedOp_t op,
            void* result) {
  switch (type) {
    case ncclFloat32:
      return reduce_as<float, float>(parts, count, op, result);
    case ncclFloat64:
      return reduce_as<double, double>(parts, count, op, result);
    case ncclBfloat16:
      return reduce_as<bf16, float>(parts, count, op, result);
    case ncclInt32:
      return reduce_as<std::int32_t, std::int32_t>(parts, count, op, result);
    default:
      return reduce_as<std::int64_t, std::int64_t>(parts, count, op, result);
  }
}

enum Kind : std::int64_t { kAllReduce = 1, kAllGather, kReduceScatter, kBroadcast };

/// An operation of all ranks: `finish` gets the bytes [from, from + bytes) of what each has offered.
ncclResult_t collective(ncclComm_t comm, cudaStream_t stream, const Offer& mine, std::size_t from, std::size_t bytes,
                        std::function<void(const std::vector<std::vector<std::byte>>&)> finish) {
  const std::uint64_t number = ++comm->operations;
  return give(comm, stream, [=, finish = std::move(finish)] {
    std::vector<std::vector<std::byte>> parts;
    if (comm->group->gather(number, mine, from, bytes, parts)) finish(parts);
  });
}

/// Whether what the communicator was given has left its streams.
bool is_idle(ncclComm_t comm) { return comm->under_way == 0; }

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = kVersion;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::random_device random;
  const std::string name = "/ferula-nccl-" + std::to_string(random()) + "-" + std::to_string(random());
  *id = {};
  std::memcpy(id->internal, name.c_str(), name.size());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (ranks > ferula::emulated::kMostRanks || config->blocking != 0) return ncclInvalidArgument;
  auto made = std::make_unique<ncclComm>();
  try {
    made->group = std::make_unique<Group>(id.internal, rank, ranks);
  } catch (const std::exception&) {
    return ncclSystemError;
  }
  *comm = made.release();
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  comm->problem = comm->group->problem();
  if (!comm->problem.empty())
    *state = ncclRemoteError;
  else
    *state = comm->group->is_complete() && comm->asked.exchange(true) ? ncclSuccess : ncclInProgress;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  comm->asked = true;
  return is_idle(comm) ? ncclSuccess : ncclInProgress;
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  comm->group->leave();
  return is_idle(comm) ? ncclSuccess : ncclInvalidUsage;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  comm->group->abort();
  comm->group->leave();
  while (!is_idle(comm) || !comm->group->all_are_gone()) std::this_thread::sleep_for(kPause);
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "remote process exited or there was a network error" : "refused";
}
const char* ncclGetLastError(ncclComm_t comm) { return comm == nullptr ? "" : comm->problem.c_str(); }

ncclResult_t ncclAllReduce(const void* send, void* receive, std::size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
  const std::size_t bytes = count * bytes_of(type);
  return collective(comm, stream, {send, bytes, kAllReduce}, 0, bytes,
                    [=](const auto& parts) { reduce(parts, count, type, op, receive); });
}

ncclResult_t ncclAllGather(const void* send, void* receive, std::size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  const std::size_t bytes = count * bytes_of(type);
  return collective(comm, stream, {send, bytes, kAllGather}, 0, bytes, [=](const auto& parts) {
    for (std::size_t rank = 0; rank < parts.size(); ++rank)
      std::memcpy(static_cast<std::byte*>(receive) + rank * bytes, parts[rank].data(), bytes);
  });
}

ncclResult_t ncclReduceScatter(const void* send, void* receive, std::size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream) {
  const std::size_t bytes = count * bytes_of(type);
  const auto rank = static_cast<std::size_t>(comm->group->rank()),
             ranks = static_cast<std::size_t>(comm->group->ranks());
  return collective(comm, stream, {send, ranks * bytes, kReduceScatter}, rank * bytes, bytes,
                    [=](const auto& parts) { reduce(parts, count, type, op, receive); });
}

ncclResult_t ncclBroadcast(const void* send, void* receive, std::size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  const std::size_t bytes = count * bytes_of(type);
  const Offer mine{send, comm->group->rank() == root ? bytes : 0, kBroadcast};
  return collective(comm, stream, mine, 0, bytes, [=](const auto& parts) {
    std::memcpy(receive, parts[static_cast<std::size_t>(root)].data(), bytes);
  });
}

ncclResult_t ncclGroupStart() {
  ++open_group.depth;
  return ncclSuccess;
}

ncclResult_t ncclSend(const void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  if (open_group.depth == 0) return ncclInvalidUsage;
  open_group.comm = comm;
  open_group.stream = stream;
  open_group.messages.push_back({true, peer, const_cast<void*>(data), count * bytes_of(type), ++comm->sent[peer]});
  return ncclSuccess;
}
ncclResult_t ncclRecv(void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  if (open_group.depth == 0) return ncclInvalidUsage;
  open_group.comm = comm;
  open_group.stream = stream;
  open_group.messages.push_back({false, peer, data, count * bytes_of(type), ++comm->received[peer]});
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (--open_group.depth > 0 || open_group.messages.empty()) return ncclSuccess;
  const ncclComm_t comm = open_group.comm;
  return give(comm, open_group.stream,
              [comm, messages = std::exchange(open_group.messages, {})] { comm->group->exchange(messages); });
}

}  // extern "C"
