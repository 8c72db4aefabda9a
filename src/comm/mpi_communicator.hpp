// The communicator of ranks on several nodes, over messages of MPI. Included by mpi_*.cpp only.
#pragma once

#include "comm/host_communicator.hpp"
#include "comm/mpi_handles.hpp"
#include "comm/mpi_requests.hpp"

namespace ferula {

/// Bytes of buffers in which operands of peers arrive, of a group of so many ranks.
std::int64_t mpi_transit_bytes(int ranks, std::int64_t staging_bytes);

/// Reductions send each rank its part of every operand and add in rank order, so that the sums are the same bits as in
/// shared memory; an all-reduce then gathers the parts. The bytes sent are the least possible, 2 (n − 1) / n or (n − 1)
/// / n.
class MpiCommunicator final : public HostCommunicator {
 public:
  /// `comm` belongs to this group alone. `device` must outlive the communicator.
  MpiCommunicator(GroupIdentity identity, MpiComm comm, Device& device, std::int64_t staging_bytes,
                  std::int64_t message_limit_bytes);
  ~MpiCommunicator() override;

  std::string_view kind() const override { return "mpi"; }
  Buffer allocate(std::int64_t bytes, MemoryKind kind) override { return device_->allocate(bytes, kind); }
  std::chrono::milliseconds set_timeout(std::chrono::milliseconds timeout) override {
    return line_.set_timeout(timeout);
  }
  void abort(std::string_view reason) override { line_.abort(reason); }

 protected:
  void run_all_reduce(TensorView inout, ReduceOp op) override;
  void run_all_gather(TensorView shard, TensorView whole) override;
  void run_reduce_scatter(TensorView whole, TensorView shard, ReduceOp op) override;
  void run_broadcast(TensorView inout, int root) override;
  void run_messages(const std::vector<Message>& messages) override;

 private:
  /// Adds the range of `part_of(rank())` of all ranks into `result`; `part_of(r)` is what this rank has for rank r.
  template <class PartOf>
  void reduce_parts(std::string_view operation, PartOf part_of, TensorView result, ReduceOp op);
  /// Elements of one part that fit into the staging memory for each peer.
  std::int64_t part_limit(DType dtype) const;

  Device* device_;
  MpiLine line_;
  Buffer staging_;  // [size, part]
};

}  // namespace ferula
