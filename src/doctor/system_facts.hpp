// What the checks of `ferula doctor` may know of machine, job and ranks: the one door through which tests plant faults.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/file_system.hpp"

namespace ferula {

/// How another program ended and what it printed on both outputs.
struct CommandResult {
  int code = 0;
  std::string text;
};

/// What was measured in one go on all ranks: of this rank, and of the median rank. 0: not measured.
struct Rate {
  double mine = 0.0;
  double median = 0.0;
};

/// What a run will write at most, and the least with which it could save at all.
struct StorageNeed {
  FreeSpace whole;
  FreeSpace least;
};

/// This rank among the ranks that were started together.
struct JobFacts {
  std::string program;       // "0.1.0 (1a2b3c)"
  std::string host;          // "gpu03"
  std::string mpi_library;   // "Open MPI v4.1.4, package: …"
  std::string cuda_library;  // the path of libferula_cuda.so; empty in a build for the host alone
  std::string directory;     // where runs will be written
  int rank = 0;
  int ranks = 1;
  int rank_on_node = 0;
  int ranks_on_node = 1;
  int fewest_ranks_on_a_node = 1;
  int most_ranks_on_a_node = 1;
  int hosts = 1;
  bool is_launched = false;               // by mpirun or srun
  int processors = 1;                     // that this rank may use
  int processors_on_node = 1;             // that some rank of this host may use
  int most_sharers = 1;                   // ranks that may use the most wanted of this rank's processors
  double clock_offset_s = 0.0;            // against rank 0
  bool sees_first_ranks_file = true;      // whether `directory` shows what rank 0 has written there
  std::optional<StorageNeed> will_write;  // of the run that the user asks about
  std::string home_place, work_place;     // of the cluster's profile: not for data, and for data
  Rate compute_gigaflops;                 // a matrix product
  Rate memory_gigabytes;                  // a copy of memory, a second
  Rate disk_megabytes;                    // writing and fsync, a second
  Rate link_gigabytes;                    // to the next rank, a second
  Rate latency_microseconds;              // of a barrier
};

/// Answers are of the moment in which they are asked for. Nothing here throws: what cannot be known is absent.
class SystemFacts {
 public:
  virtual ~SystemFacts() = default;
  virtual std::optional<std::string> file(const std::string& path) const = 0;
  /// In alphabetical order; none where the folder is missing.
  virtual std::vector<std::string> names(const std::string& directory) const = 0;
  virtual std::optional<std::string> variable(const std::string& name) const = 0;
  /// Absent where there is no such program. One that takes too long is ended and has code 124.
  virtual std::optional<CommandResult> run(const std::vector<std::string>& words) const = 0;
  virtual double now_s() const = 0;  // since 1970
  virtual std::optional<FreeSpace> free_space(const std::string& directory) const = 0;
  /// Writes, syncs, renames and removes a small file; empty where that works, else the system's reason.
  virtual std::string write_problem(const std::string& directory) const = 0;
  virtual LockAttempt::State lock_state(const std::string& directory) const = 0;
  virtual const JobFacts& job() const = 0;
};

}  // namespace ferula
