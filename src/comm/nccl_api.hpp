// NCCL as a rank uses it: what libferula_cuda implements over the real library, and what tests fake.
#pragma once

#include <array>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>

#include "comm/message_group.hpp"

namespace ferula {

/// ncclUniqueId: by it the ranks of a group find each other.
struct NcclId {
  std::array<char, 128> bytes{};
};

/// ncclComm_t; owned by an NcclSession.
using NcclComm = void*;

struct NcclResult {
  enum class Status : std::uint8_t { success, in_progress, failed };
  Status status = Status::success;
  std::string words = {};  // of a failure: NCCL's own
};

/// A point in a stream's order, which can be asked for from any thread.
using NcclMark = std::int64_t;

/// One GPU's view of NCCL; communicators do not block: a call that is in progress is polled. Thread-safe where two
/// threads do not use one communicator at once. Operands are contiguous and not empty; every type can be moved,
/// reducible ones can be reduced.
class NcclApi {
 public:
  virtual ~NcclApi() = default;
  /// 22809 is 2.28.9.
  virtual int version() const = 0;
  /// "NVIDIA RTX A5000, GPU-1b2c…": equal for two ranks of a host exactly where they use one GPU.
  virtual std::string gpu() const = 0;
  /// Whether several ranks may use one GPU.
  virtual bool shares_gpus() const = 0;
  /// Whether the GPU reaches this address; collectives on other memory go over the host.
  virtual bool reaches(const std::byte* data) const = 0;

  virtual NcclResult make_id(NcclId& id) = 0;
  /// Begins to make a communicator; `poll` tells when it is ready. Null where nothing was made.
  virtual NcclResult begin(NcclComm& comm, const NcclId& id, int rank, int ranks) = 0;
  /// The state of the communicator: also an error that came after a call had returned.
  virtual NcclResult poll(NcclComm comm) = 0;
  /// Ends everything that the communicator does, on the GPU too, and frees it; waits for peers for
  /// a few seconds at most.
  virtual void abort(NcclComm comm) noexcept = 0;
  /// Frees a communicator whose work is done.
  virtual void destroy(NcclComm comm) noexcept = 0;

  virtual NcclResult all_reduce(NcclComm comm, Stream& stream, const TensorView& inout, ReduceOp op) = 0;
  virtual NcclResult all_gather(NcclComm comm, Stream& stream, const TensorView& shard, const TensorView& whole) = 0;
  virtual NcclResult reduce_scatter(NcclComm comm, Stream& stream, const TensorView& whole, const TensorView& shard,
                                    ReduceOp op) = 0;
  virtual NcclResult broadcast(NcclComm comm, Stream& stream, const TensorView& inout, int root) = 0;
  /// All messages as one group.
  virtual NcclResult exchange(NcclComm comm, Stream& stream, std::span<const Message> messages) = 0;

  /// Waits for what the host does in the order of `stream`, which may itself wait for the GPU: who calls it before
  /// taking a lock does not wait behind that lock. Marks and collectives wait for the same.
  virtual void settle(Stream& stream) = 0;
  virtual NcclMark mark(Stream& stream) = 0;
  virtual bool is_reached(NcclMark mark) = 0;
  /// Where `mark` is not reached, whoever waits for its stream from now on is thrown `error`. Called before `abort`,
  /// which lets the stream go on without the work; from any thread.
  virtual void fail(NcclMark mark, std::exception_ptr error) = 0;
  /// `mark` is not asked for again.
  virtual void forget(NcclMark mark) = 0;
};

/// What came of opening NCCL on a machine that may have none.
struct NcclOpening {
  std::unique_ptr<NcclApi> api;  // null where there is no NCCL
  std::string reason = {};       // then why, in words
};

/// "2.28.9".
inline std::string nccl_version_words(int version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace ferula
