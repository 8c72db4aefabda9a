// The ranks of a job that does not run: for what can be known of it before.
#pragma once

#include <memory>

#include "comm/mesh.hpp"

namespace ferula {

/// A job of `ranks` on nodes of `ranks_on_node`, as its rank 0 would see it.
struct PlannedJob {
  int ranks = 1;
  int ranks_on_node = 1;
  int threads = 1;  // of a rank
  DeviceKind computes = DeviceKind::cpu;
};

/// Groups know their sizes and the memory that those of the real job would take: windows within a node, MPI between
/// nodes. They exchange nothing: a collective of more than one rank fails a FERULA_CHECK.
std::unique_ptr<Mesh::Transport> make_planned_transport(const PlannedJob& job);

}  // namespace ferula
