// Everything that a rank computes with, for tests that run several ranks as threads.
#pragma once

#include <functional>
#include <memory>

#include "comm/mesh.hpp"
#include "ops/execution.hpp"

namespace ferula::test {

/// One rank with its own ledger, device, streams and mesh. The collectives run on the rank's own thread.
struct RankParts {
  RankParts(std::unique_ptr<Mesh::Transport> transport, MeshShape shape, std::unique_ptr<Ops> (*make_ops)(Device&),
            std::unique_ptr<Device> (*make_device)(MemoryLedger&) = make_cpu_device);

  MemoryLedger ledger;
  std::unique_ptr<Device> device;
  std::unique_ptr<Ops> ops;
  std::unique_ptr<Stream> compute;
  std::unique_ptr<Stream> communication;
  PhaseTimes phases;
  Mesh mesh;
  Execution execution;
};

/// Runs `body` on each rank of `shape` as a thread, with operations of that kind; an exception of any rank is thrown by
/// this call.
void on_ranks_with(MeshShape shape, std::unique_ptr<Ops> (*make_ops)(Device&),
                   const std::function<void(RankParts&)>& body);
/// The same with the plain reference operations.
void on_ranks(MeshShape shape, const std::function<void(RankParts&)>& body);

}  // namespace ferula::test
