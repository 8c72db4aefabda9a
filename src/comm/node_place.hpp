// Where a rank sits on its node, and how many threads it should compute with.
#pragma once

#include <bitset>
#include <span>

namespace ferula {

/// The processors of a node, one bit each.
using CpuMask = std::bitset<1024>;

struct NodePlace {
  int rank_on_node = 0;
  int ranks_on_node = 1;
  int threads = 1;  // this rank's share of the processors that it may use
};

/// The processors that the calling thread may use.
CpuMask allowed_cpus();

/// A fair number of threads for rank `mine` of a node: each processor counts 1 / (ranks that may use it); at least 1.
int fair_threads(std::span<const CpuMask> masks, int mine);

/// Threads of OpenMP for the calling thread from now on.
void set_compute_threads(int threads);

}  // namespace ferula
