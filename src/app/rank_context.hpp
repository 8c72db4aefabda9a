// The composition root: makes everything that a rank works with, in one process, under MPI or as simulated ranks, runs
// the command's work on every rank and turns an error of any rank into the end of all.
#pragma once

#include <functional>

#include "app/compute_backend.hpp"
#include "app/errors.hpp"
#include "app/invocation.hpp"
#include "comm/mesh.hpp"
#include "ops/execution.hpp"
#include "storage/file_system.hpp"

namespace ferula {

/// What one rank has to work with. References to what `run_on_ranks` owns.
struct RankContext {
  Mesh& mesh;
  Execution& execution;
  FileSystem& files;
  Log& log;  // speaks on rank 0 only
  const StopRequest& stop;
  int threads;  // that this rank computes with
  const ComputeBackend& compute;
  const std::vector<std::string>& gpus;  // a line for each rank; empty where they compute on the host
  /// While an error is caught, and the memory is still there that this rank's side stream may be at work on: ends that
  /// work and the peers'. Under MPI it tells the error, ends the job and does not return.
  const std::function<void()>& end_collectives;

  MemoryLedger& ledger() const { return execution.device.ledger(); }
};

/// Whether collectives run beside the computation ([zero_optimization] overlap_comm).
enum class Overlap : unsigned char { off, on };

struct RankSettings {
  MeshShape shape;
  MeshOptions mesh;
  Overlap overlap = Overlap::on;
  const ComputeBackend* compute = nullptr;  // outlives the ranks; null: the host's processors
  GpuSharing sharing = GpuSharing::refused;
  std::string memory_remedy;  // what a user can do where a rank's memory is too small
};

/// Runs `body` on every rank of this job: `invocation.ranks` of them, simulated, started by MPI, or one alone.
/// Returns what `body` returns on rank 0. An error of the only rank, or of a simulated one, is thrown; an error of one
/// of several MPI ranks is printed as "rank 3 of 8 (host, cpu): …" and ends the whole job with its exit code.
ExitCode run_on_ranks(const Invocation& invocation, const RankSettings& settings,
                      const std::function<ExitCode(RankContext&)>& body);

/// For a rank that fails before `run_on_ranks`: prints the failure and ends all ranks. A mistake of the configuration
/// is mostly the same on all of them: then rank 0 speaks, and the others give it time to end the job.
[[noreturn]] void end_launched_ranks(const Failure& failure) noexcept;

}  // namespace ferula
