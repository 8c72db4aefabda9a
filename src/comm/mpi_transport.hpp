// Ranks that are processes of an MPI job: shared memory within a node, MPI between nodes.
#pragma once

#include <memory>

#include "comm/mesh.hpp"
#include "comm/mpi_environment.hpp"
#include "comm/shared_memory.hpp"

namespace ferula {

enum class NodeTraffic : std::uint8_t { shared_memory, mpi };

struct MpiOptions {
  NodeTraffic within_node = NodeTraffic::shared_memory;
  SharedMemoryOptions shared_memory = {};
  std::int64_t message_limit_bytes = 1 << 30;  // a longer transfer is cut: counts of MPI are ints
  std::int64_t staging_bytes = 8 << 20;        // memory of each MPI group in which operands of peers arrive
};

/// Collective over all ranks of the job. `environment` must outlive the transport.
std::unique_ptr<Mesh::Transport> make_mpi_transport(MpiEnvironment& environment, const MpiOptions& options = {});

}  // namespace ferula
