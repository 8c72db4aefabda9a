// A group of ranks that exchange tensors, in the order of a stream.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "device/device.hpp"

namespace ferula {

enum class ReduceOp : std::uint8_t { sum, max };

/// All ranks of a group make the same calls in the same order. A call returns at once; its work runs in the order of
/// `stream`. Views stay valid and untouched until that work is done. On a group of one every collective is a no-op
/// (a copy where source and destination differ). Sums accumulate bf16 in f32, in rank order: the same bits each time.
/// Errors (a dead, late or differing rank) throw CommError from the stream, naming operation, rank and host.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// "self", "mpi", "shared-memory", "simulated", "staged mpi", "nccl": for headers and messages.
  virtual std::string_view kind() const = 0;
  /// Whether its work are tasks of the host; if not, tasks around it would hold the GPU up.
  virtual bool works_on_host() const { return true; }

  virtual void all_reduce(Stream& stream, TensorView inout, ReduceOp op) = 0;
  /// `whole` has size() × shard.count() elements; `shard` may be this rank's own part of `whole`.
  virtual void all_gather(Stream& stream, TensorView shard, TensorView whole) = 0;
  /// Rank r receives the reduced part r of `whole`; `shard` may be this rank's own part of `whole`. Other parts of
  /// `whole` are undefined afterwards.
  virtual void reduce_scatter(Stream& stream, TensorView whole, TensorView shard, ReduceOp op) = 0;
  virtual void broadcast(Stream& stream, TensorView inout, int root) = 0;
  virtual void send(Stream& stream, TensorView data, int to) = 0;
  virtual void receive(Stream& stream, TensorView data, int from) = 0;
  /// Sends and receives given between the two calls progress together, in any order of the ranks.
  virtual void group_begin() = 0;
  virtual void group_end() = 0;

  /// Memory that peers can reach, where the transport profits from it: collectives on views into it need no staging
  /// copy. Called by all ranks of the group with the same size. Must not outlive the communicator.
  virtual Buffer allocate(std::int64_t bytes, MemoryKind kind) = 0;
  /// Whether its ranks can have memory in common: what is gathered there needs no copying.
  virtual bool has_common_memory() const { return false; }
  /// One piece of memory for all ranks of the group, of which each counts an equal part; called as `allocate`, where
  /// `has_common_memory`. What a rank writes the others see after their next collective together. A rank writes only
  /// what no other uses at the time; of collectives only `all_gather` may have it as `whole`.
  virtual Buffer allocate_common(std::int64_t bytes, MemoryKind kind);

  /// A collective that waits longer for a peer throws CommError. Zero waits for ever. Returns what was set before.
  virtual std::chrono::milliseconds set_timeout(std::chrono::milliseconds timeout) = 0;
  /// Makes every rank of the group throw AbortedError with `reason` from its current or next collective.
  virtual void abort(std::string_view reason) = 0;
};

/// While it lives, collectives of the group wait for as long as their ranks live: for what some ranks do alone, which
/// takes as long as files are large.
class UntimedWaits {
 public:
  explicit UntimedWaits(Communicator& group) : group_(&group), before_(group.set_timeout({})) {}
  ~UntimedWaits() { group_->set_timeout(before_); }
  UntimedWaits(const UntimedWaits&) = delete;
  UntimedWaits& operator=(const UntimedWaits&) = delete;

 private:
  Communicator* group_;
  std::chrono::milliseconds before_;
};

/// Agreement on host scalars: blocks the caller until all ranks of the group have the result.
double agree_sum(Communicator& group, Stream& stream, double value);
double agree_max(Communicator& group, Stream& stream, double value);
void barrier(Communicator& group, Stream& stream);

}  // namespace ferula
