// Collectives of ranks that read and write each other's memory: threads of one process, or processes on one node.
#pragma once

#include <memory>

#include "comm/host_communicator.hpp"
#include "comm/peer_memory.hpp"

namespace ferula {

class WindowExchange;

/// Each rank reduces its own part of every rank's operand, in rank order, and writes the result where it is wanted.
/// Operands that peers cannot reach pass through bounce memory chunk by chunk; the sums are the same bits.
/// A collective costs one meeting where operands are small, else two, and one more for each further chunk; one less
/// where all operands pass through bounce memory and nothing returns to them.
class WindowCommunicator final : public HostCommunicator {
 public:
  /// `kind` is a literal: "simulated", "shared-memory".
  WindowCommunicator(std::string_view kind, GroupIdentity identity, std::unique_ptr<PeerMemory> memory,
                     const MeetingTimes& times = {});

  std::string_view kind() const override { return kind_; }
  Buffer allocate(std::int64_t bytes, MemoryKind kind) override { return memory_->allocate(channel_, bytes, kind); }
  bool has_common_memory() const override { return memory_->has_common(); }
  Buffer allocate_common(std::int64_t bytes, MemoryKind kind) override {
    return memory_->allocate_common(channel_, bytes, kind);
  }
  std::chrono::milliseconds set_timeout(std::chrono::milliseconds timeout) override {
    return channel_.set_timeout(timeout);
  }
  void abort(std::string_view reason) override { channel_.abort(reason); }

 protected:
  void run_all_reduce(TensorView inout, ReduceOp op) override;
  void run_all_gather(TensorView shard, TensorView whole) override;
  void run_reduce_scatter(TensorView whole, TensorView shard, ReduceOp op) override;
  void run_broadcast(TensorView inout, int root) override;
  void run_messages(const std::vector<Message>& messages) override;

 private:
  /// Reduces the operands of all ranks, which are small: `result` is the part of them that begins at byte `offset`.
  void reduce_given(const CollectiveCall& call, const TensorView& operand, const TensorView& result,
                    std::int64_t offset, ReduceOp op);

  std::string_view kind_;
  std::unique_ptr<PeerMemory> memory_;
  GroupChannel channel_;
  std::vector<TensorView> operands_;  // by rank, of the collective that runs
};

}  // namespace ferula
