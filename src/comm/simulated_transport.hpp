// Ranks that are threads of one process: for tests, and for `--ranks-simulated`.
#pragma once

#include <functional>
#include <memory>

#include "comm/mesh.hpp"

namespace ferula {

/// Whether the groups of simulated ranks have memory in common, as those of processes on one node, or gather copies.
enum class CommonMemory : std::uint8_t { none, of_groups };

/// The place where simulated ranks meet. Must outlive its transports and their communicators.
class SimulatedWorld {
 public:
  explicit SimulatedWorld(int ranks, CommonMemory common = CommonMemory::none);
  ~SimulatedWorld();
  int size() const;
  /// The transport of one rank; each rank uses it from its own thread.
  std::unique_ptr<Mesh::Transport> transport(int rank);
  /// Every group, also those that are made later, throws AbortedError with `reason`.
  void abort(std::string_view reason);

  class Hub;

 private:
  std::unique_ptr<Hub> hub_;
};

/// Runs `body` once a rank, each on a thread of its own. When one throws, the groups of all others are aborted; after
/// all have ended, the first error that is not of an abort is thrown again, in its kind, as "simulated rank R of N: …".
void run_simulated_ranks(int ranks, const std::function<void(std::unique_ptr<Mesh::Transport>)>& body,
                         CommonMemory common = CommonMemory::none);

/// The world of one rank, without MPI.
std::unique_ptr<Mesh::Transport> make_self_transport();

/// Name of this machine, for messages.
std::string host_name();

}  // namespace ferula
